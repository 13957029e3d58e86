import numpy as np
import pytest

from mmseg_mllm.label_studio.brush import brush_rle

brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed")


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (40, 33), (300, 200)])
def test_label_studios_converter_reads_it(size):
    rng = np.random.default_rng(0)
    noise, block = rng.random(size) < 0.5, np.zeros(size, bool)
    block[size[0] // 3 :, : size[1] // 2 + 1] = True
    for mask in (noise, block, ~block, np.zeros(size, bool), np.ones(size, bool), np.asfortranarray(noise)):
        pixels = brush.decode_rle(brush_rle(mask)).reshape(*size, 4)
        assert np.array_equal(pixels, np.repeat(mask[..., None], 4, axis=2) * np.uint8(255))


def test_a_plain_mask_is_small():
    mask = np.zeros((1000, 1000), bool)
    mask[200:800, 300:900] = True
    assert len(brush_rle(mask)) < 6000  # the pixels are 4,000,000

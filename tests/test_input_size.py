import pytest

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import height_width, input_size, size_text


@pytest.mark.parametrize(
    ("given", "kept", "sides", "text"),
    [
        (448, 448, (448, 448), "448 x 448"),
        ((448, 448), 448, (448, 448), "448 x 448"),
        ([384, 672], (384, 672), (384, 672), "384 x 672"),
    ],
)
def test_a_size_has_one_form(given, kept, sides, text):
    size = input_size(given)
    assert (size, height_width(size), size_text(size)) == (kept, sides, text)


@pytest.mark.parametrize("wrong", ["448", 448.0, True, (448,), (1, 2, 3), (448, "448"), None])
def test_what_is_no_size(wrong):
    with pytest.raises(ConfigError, match=r"image_size=.*\(height, width\)"):
        input_size(wrong)

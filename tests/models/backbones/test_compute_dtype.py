import pytest
import torch

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones import compute_dtype as module


@pytest.fixture
def seconds(monkeypatch):
    """A device on which a product takes so long in each dtype."""

    def set_times(**times: float) -> None:
        module._fast_dtype.cache_clear()
        monkeypatch.setattr(
            module, "_seconds", lambda device, dtype: times[str(dtype).removeprefix("torch.")]
        )

    yield set_times
    module._fast_dtype.cache_clear()


@pytest.mark.parametrize(
    ("bfloat16", "expected"), [(0.5, torch.bfloat16), (0.95, torch.float32), (6.0, torch.float32)]
)
def test_auto_is_bfloat16_only_where_it_is_faster(seconds, bfloat16, expected):
    seconds(float32=1.0, bfloat16=bfloat16)
    assert module.compute_dtype("auto", device="cpu") is expected


@pytest.mark.parametrize(("supported", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_known_of_cuda(seconds, monkeypatch, supported, expected):
    seconds()
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert module.compute_dtype("auto", device="cuda") is expected


def test_a_name_is_taken_at_its_word():
    assert module.compute_dtype("bfloat16") is torch.bfloat16
    assert module.compute_dtype("float32") is torch.float32
    with pytest.raises(ConfigError, match="dtype='half': choose float32, bfloat16, auto"):
        module.compute_dtype("half")


def test_measured_on_this_cpu():
    assert 0 < module._seconds("cpu", torch.float32) < 60

import importlib.util
import textwrap
from pathlib import Path

import pytest
import torch
from helpers.fresh import run_fresh

import mmseg_mllm  # noqa: F401
from mmseg_mllm.compat import cache_argument


def test_mmseg_models_import_and_mmcv_lite_stays_lite():
    out = run_fresh("""
        import importlib.util
        full = importlib.util.find_spec('mmcv._ext') is not None
        import mmseg_mllm, sys
        import mmseg.models
        from mmengine.utils.dl_utils.misc import mmcv_full_available
        print(mmcv_full_available() == full, ('mmcv._ext' in sys.modules) <= full)
    """)
    assert out == "True True"


def test_a_compiled_op_that_is_called_says_what_is_missing():
    if importlib.util.find_spec("mmcv._ext") is not None:
        pytest.skip("full mmcv is installed: its ops are compiled")
    import mmseg.models  # noqa: F401
    from mmcv.ops import nms

    with pytest.raises(RuntimeError, match=r"compiled op 'nms' of mmcv.*mmcv-lite"):
        nms(torch.rand(3, 4), torch.rand(3), 0.5)


def test_import_downloads_nothing_and_registers_with_mmseg():
    out = run_fresh("""
        import socket
        def refuse(*args): raise OSError('no network in this test')
        socket.socket.connect = refuse
        import mmseg_mllm
        from mmseg.registry import DATASETS, METRICS, MODELS
        names = [MODELS.get(n) for n in ('MLLMSegmentor', 'MLLMBackbone', 'DSFFHead', 'DySample')]
        names += [DATASETS.get(n) for n in ('RefCOCODataset', 'GRefCOCODataset')] + [METRICS.get('RESMetric')]
        print(' '.join(c.__module__.split('.')[0] for c in names))
    """)
    assert out.split() == ["mmseg_mllm"] * 7


def fake_mmpretrain(folder, *, models: str) -> str:
    """Code for a fresh interpreter that finds a package of that name with these models."""
    for name, text in (
        ("__init__", ""),
        ("utils/__init__", ""),
        ("utils/dependency", "WITH_MULTIMODAL = True\n"),
        ("models/__init__", textwrap.dedent(models)),
    ):
        path = folder / "mmpretrain" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return f"import sys; sys.path.insert(0, {str(folder)!r})\n"


def test_mmpretrain_comes_without_its_multimodal_models(tmp_path):
    start = fake_mmpretrain(
        tmp_path,
        models="""
            from mmpretrain.utils.dependency import WITH_MULTIMODAL
            print(WITH_MULTIMODAL)
        """,
    )
    assert run_fresh(start + "import mmseg_mllm.models.backbones.mmpretrain_backbones") == "False"


def test_torchvision_of_another_torch_is_told(tmp_path):
    start = fake_mmpretrain(tmp_path, models="raise RuntimeError('operator torchvision::nms does not exist')")
    config = str(Path(__file__).parents[1] / "configs/dsff/convnext-t_dsff_4xb4-160k_ade20k-512x512.py")
    out = run_fresh(
        start
        + textwrap.dedent(f"""
            from mmseg_mllm.engine.config import load_config
            from mmseg_mllm.errors import ConfigError
            try:
                load_config({config!r})
            except ConfigError as error:
                print(error)
        """)
    )
    assert f"torchvision does not fit torch {torch.__version__}: operator torchvision::nms" in out


class _Before:
    def forward(self, inputs_embeds=None, past_key_values=None): ...


class _Since:
    def forward(self, inputs_embeds=None, cache=None): ...


@pytest.mark.parametrize(("model", "name"), [(_Before(), "past_key_values"), (_Since(), "cache")])
def test_a_cache_goes_by_the_name_that_the_release_of_transformers_has(model, name):
    assert cache_argument(model, None) == {name: None}

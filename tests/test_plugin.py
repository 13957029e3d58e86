"""Imports and registration, each in a fresh interpreter: what counts here happens at the first import."""

import ast
import re
from pathlib import Path

import pytest
from helpers.fresh import run_fresh

from mmseg_mllm.plugin import PARTS

UPSAMPLE = "build(dict(type='DySample', in_channels=8))"
PACKAGE = Path(__file__).parents[1] / "mmseg_mllm"
SETUP = ast.parse((PACKAGE.parent / "setup.py").read_text())
CONSTANTS = {node.targets[0].id: node.value for node in SETUP.body if isinstance(node, ast.Assign)}
AT_START = ast.literal_eval(CONSTANTS["AT_START"])
"""What Python runs when it starts, from the .pth file that setup.py writes."""
HEAD = "MODELS.build(dict(type='DSFFHead', in_channels=(8, 8), channels=8, num_classes=3))"


@pytest.mark.parametrize("package", ["mmseg_mllm", "mmseg_mllm.datasets.checks", "mmseg_mllm.toy"])
def test_import_is_light(package):
    heavy = "{'torch', 'mmcv', 'mmseg', 'matplotlib', 'transformers'}"
    assert run_fresh(f"import sys, {package}; print({heavy} & set(sys.modules))") == "set()"


def test_who_predicts_imports_no_training():
    out = run_fresh("""
        import sys
        from mmseg_mllm.apis import RESPredictor
        print([m for m in sys.modules if m.startswith(
            ('mmseg_mllm.engine.hooks', 'mmseg_mllm.engine.runner', 'mmseg_mllm.evaluation', 'mmseg_mllm.toy',
             'mmseg_mllm.visualization', 'mmseg_mllm.datasets.checks', 'matplotlib'))])
    """)
    assert out == "[]"


@pytest.mark.parametrize(
    "code",
    [
        f"import mmseg_mllm; from mmseg.registry import MODELS; {HEAD}",
        f"from mmseg.registry import MODELS; import mmseg_mllm; {HEAD}",
        # The registry was asked before, and has imported what it knew of.
        f"exec({AT_START!r}, {{}})\n"
        "from mmseg.registry import DATASETS; DATASETS.get('ADE20KDataset')\n"
        "import mmseg_mllm; DATASETS.get('RefCOCODataset').METAINFO",
        "import importlib.util, mmseg_mllm; importlib.util.find_spec('mmseg.registry')\n"
        f"from mmseg.registry import MODELS; {HEAD}",
        "from mmengine.utils import import_modules_from_strings as get; get(['mmseg_mllm'])\n"
        "from mmengine.registry import MODELS, init_default_scope; init_default_scope('mmseg')\n" + HEAD,
        f"import mmseg_mllm; from mmcv.cnn import build_upsample_layer as build; {UPSAMPLE}",
        f"from mmcv.cnn import build_upsample_layer as build; import mmseg_mllm; {UPSAMPLE}",
        f"import mmseg_mllm; from mmengine.registry import MODELS; build = MODELS.build; {UPSAMPLE}",
    ],
)
def test_registered_in_either_order(code):
    run_fresh(code)


def test_every_registered_class_is_named():
    """Only a module that the table names is imported by a registry."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for registry in re.findall(r"^@(\w+)\.register_module", path.read_text(), flags=re.MULTILINE):
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            found.setdefault(registry, set()).add(name)
    found["MODELS"].remove("ops.dysample")  # in MMEngine's own registry
    assert {name: set(modules) for name, modules in PARTS.items()} == found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_lazy_names_are_there(path):
    package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    names = __import__(package, fromlist=["*"])
    for name in getattr(names, "__all__", ()):
        assert getattr(names, name) is not None
    with pytest.raises(AttributeError):
        names.no_such_name  # noqa: B018


def test_mmseg_first_with_what_python_runs_at_its_start():
    out = run_fresh(f"""
        exec({AT_START!r}, {{}})
        import sys
        import mmseg.apis
        print([m for m in sys.modules if m.startswith('mmseg_mllm')])
        from mmcv.ops import nms
    """)
    assert out == "[]"
    # Without the package, as after a deletion by hand, Python starts as it would.
    assert run_fresh(f"import sys; sys.meta_path.clear(); exec({AT_START!r}, {{}})") == ""


def test_mmcv_is_left_alone_without_mmseg():
    out = run_fresh("""
        import importlib.util, mmseg_mllm
        try:
            import mmcv.ops
            print(True)
        except ImportError:
            print(False)
        print(importlib.util.find_spec('mmcv._ext') is not None)
    """)
    imported, full = out.split()
    assert imported == full

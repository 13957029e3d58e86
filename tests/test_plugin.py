"""Imports and registration, each in a fresh interpreter: what counts here happens at the first import."""

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mmseg_mllm.plugin import PARTS

PACKAGE = Path(__file__).parents[1] / "mmseg_mllm"
HEAD = "MODELS.build(dict(type='DSFFHead', in_channels=(8, 8), channels=8, num_classes=3))"


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("package", ["mmseg_mllm", "mmseg_mllm.datasets.checks", "mmseg_mllm.toy"])
def test_import_is_light(package):
    heavy = "{'torch', 'mmcv', 'mmseg', 'matplotlib', 'transformers'}"
    assert run(f"import sys, {package}; print({heavy} & set(sys.modules))") == "set()"


def test_who_predicts_imports_no_training():
    out = run("""
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
        "import mmseg_mllm.mmcv_lite; import sys\n"
        "from mmseg.registry import DATASETS; DATASETS.get('ADE20KDataset')\n"
        "import mmseg_mllm; DATASETS.get('RefCOCODataset').METAINFO",
        "import importlib.util, mmseg_mllm; importlib.util.find_spec('mmseg.registry')\n"
        f"from mmseg.registry import MODELS; {HEAD}",
        "from mmengine.config import Config; Config(dict(custom_imports=dict(imports=['mmseg_mllm'])))\n"
        "from mmengine.utils import import_modules_from_strings as get; get(['mmseg_mllm'])\n"
        "from mmengine.registry import MODELS, init_default_scope; init_default_scope('mmseg')\n" + HEAD,
        "import mmseg_mllm; from mmcv.cnn import build_upsample_layer as b; b(dict(type='DySample', in_channels=8))",
        "from mmcv.cnn import build_upsample_layer as b; import mmseg_mllm; b(dict(type='DySample', in_channels=8))",
        "import mmseg_mllm; from mmengine.registry import MODELS; MODELS.build(dict(type='DySample', in_channels=8))",
    ],
)
def test_registered_in_either_order(code):
    run(code)


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
    """setup.py writes this text into a .pth file."""
    tree = ast.parse((PACKAGE.parent / "setup.py").read_text())
    text = next(
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and n.targets[0].id == "AT_START"
    )
    out = run(f"""
        exec({text!r}, {{}})
        import sys
        import mmseg.apis
        print([m for m in sys.modules if m.startswith('mmseg_mllm')])
        from mmcv.ops import nms
    """)
    assert out == "[]"
    assert run(f"import sys; sys.path = sys.path[:0]; sys.meta_path.clear(); exec({text!r}, {{}})") == ""


def test_mmcv_is_left_alone_without_mmseg():
    out = run("""
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

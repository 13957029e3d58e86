"""Lets MMSegmentation import with mmcv-lite. Standard library only: ``mmseg_mllm.pth`` runs it alone.

mmsegmentation 1.2.2 imports ``mmcv.ops`` unguarded, and that needs the compiled ``mmcv._ext``. Can go when
it guards its imports.
"""

import sys
import types
from importlib.machinery import ModuleSpec, PathFinder
from typing import NoReturn


class _MissingOps(types.ModuleType):
    """Stand-in for ``mmcv._ext`` whose compiled ops exist by name and refuse to run."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*args, **kwargs) -> NoReturn:
            raise RuntimeError(
                f"The compiled op {name!r} of mmcv was called, but mmcv-lite is installed, which has none. "
                "Install the full mmcv 2.1.0 (see docs/install.md) or choose a model without this op."
            )

        return refuse


class _OpsFinder:
    """Finds ``mmcv.ops`` for mmseg where there is no ``mmcv._ext``: imports it beside the stand-in.

    The stand-in is taken out again: ``mmengine.utils.dl_utils`` looks for it to tell full mmcv from lite.
    Programs without mmseg see mmcv as it is.
    """

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        if name != "mmcv.ops" or "mmseg" not in sys.modules or PathFinder.find_spec("mmcv._ext", path):
            return None
        spec = PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def run_beside_stand_in(module: types.ModuleType) -> None:
            sys.modules["mmcv._ext"] = _MissingOps("mmcv._ext")
            try:
                run(module)
            finally:
                del sys.modules["mmcv._ext"]

        spec.loader.exec_module = run_beside_stand_in
        return spec


def install() -> None:
    """Put the finder first, once."""
    if not any(getattr(finder, "__name__", "") == _OpsFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _OpsFinder)

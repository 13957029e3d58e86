"""The configs that come with the package: where they are, and how others inherit from them.

Standard library only, besides the module that is changed: it runs when mmengine's configs are imported.
"""

import re
from pathlib import Path
from types import ModuleType

from mmseg_mllm.errors import ConfigError

PREFIX = "mmseg_mllm::"
"""Begins the name of a packaged config where a path is expected: in ``_base_`` and on the command line."""
FOLDER = Path(__file__).parent / ".mim" / "configs"
"""Where OpenMMLab's tools look for the configs of a package."""
_BASES = "_base_"


def config_names() -> list[str]:
    """Names of the experiments, such as 'mllmseg/internvl2_5_8b_refcoco.py'; their parts are left out."""
    paths = (path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))
    return sorted(path.as_posix() for path in paths if path.parts[0] != _BASES)


def config_path(name: str) -> Path:
    """The file of a packaged config, also of a part, by its name with or without ``PREFIX`` and '.py'.

    Raises:
        ConfigError: there is none.
    """
    short = name.removeprefix(PREFIX).removesuffix(".py")
    path = FOLDER / f"{short}.py"
    if not path.resolve().is_relative_to(FOLDER.resolve()) or not path.is_file():
        raise ConfigError(f"{name}: no such config in the package; `mmseg-mllm configs` lists them")
    return path


def copied_text(name: str) -> str:
    """The text of a packaged config, changed so that it works in any folder: its bases are the packaged ones.

    Raises:
        ConfigError: there is none.
    """
    path = config_path(name)

    def packaged(match: re.Match) -> str:
        base = (path.parent / match[2]).resolve().relative_to(FOLDER.resolve())
        return f"{match[1]}{PREFIX}{base.as_posix()}{match[1]}"

    head, bases, rest = _split(path.read_text(encoding="utf-8"))
    return head + re.sub(r"""(["'])([^"':]+\.py)\1""", packaged, bases) + rest


def _split(text: str) -> tuple[str, str, str]:
    """What is before, in and after the statement that names the bases."""
    found = re.search(r"^_base_ = (\[[^\]]*\]|.*$)", text, re.MULTILINE)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def let_configs_inherit(module: ModuleType) -> None:
    """Have mmengine find bases that begin with ``PREFIX``.

    mmengine 0.10.7 has a fixed list of packages for that, and would look for our parts in registries of our
    own; they are in mmseg's. Can go when packages may add themselves.

    Args:
        module: ``mmengine.config.config``.
    """
    find = module.Config._get_cfg_path

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return str(config_path(cfg_path)), None
        return find(cfg_path, filename)

    module.Config._get_cfg_path = staticmethod(get_cfg_path)

"""Names in a config that nothing knows, told with the nearest one that is known."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from types import FrameType

from mmengine.config import Config

from mmseg_mllm.errors import ConfigError

OTHER_KEYS = (
    *("custom_imports", "effective_batch_size", "find_unused_parameters", "shard", "sync_bn", "tta_model"),
)
"""Top-level keys that are read beside the Runner's arguments."""
LEFT_OVER = ("models",)
"""Keys of mmseg's own configs that nothing reads."""
SURE = 0.85
"""A config may hold any variables of its own, so only a key this like a known one is a typo."""


def check_keys(config: Config) -> None:
    """Look for typos in the names that end in no error by themselves, or in one of another place.

    Raises:
        ConfigError: a top-level key is almost one that is read, or a loop has no such setting.
    """
    from mmengine.registry import LOOPS
    from mmengine.runner import Runner

    known = [*inspect.signature(Runner).parameters, *OTHER_KEYS]
    for key in config:
        if key not in (*known, *LEFT_OVER) and get_close_matches(key, known, n=1, cutoff=SURE):
            raise ConfigError(f"the config's {key!r} is read by nothing{_nearest(key, known)}")
    for name in ("train_cfg", "val_cfg", "test_cfg"):
        loop = config.get(name) or {}
        kind = LOOPS.module_dict.get(loop.get("type", ""))
        for key in loop if kind else ():
            settings = _parameters(kind)
            if key != "type" and key not in settings:
                raise ConfigError(f"{name}: {kind.__name__} has no setting {key!r}{_nearest(key, settings)}")


def config_mistake(error: Exception) -> ConfigError | None:
    """What an error of MMEngine's builder means for the config; None if it comes from elsewhere.

    Args:
        error: TypeError of a constructor, or KeyError of a registry, with its traceback.
    """
    frame = _builder_frame(error)
    if frame is None:
        return None
    if isinstance(error, KeyError):
        kind, registry = frame.f_locals["obj_type"], frame.f_locals["registry"]
        names = [*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())]
        return ConfigError(
            f"type={kind!r}: no {registry.name} has this name{_nearest(kind, names)}; a part of your own is "
            "registered by importing its module: custom_imports=dict(imports=[...])"
        )
    built = frame.f_locals["obj_cls"]
    unknown = re.search(r"\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if unknown:
        near = _nearest(unknown[1], _parameters(built))
        return ConfigError(f"{built.__name__} has no argument {unknown[1]!r}{near}")
    missing = re.search(r"\(\) missing \d+ required [\w-]+ arguments?: (.*)", str(error))
    return ConfigError(f"{built.__name__} needs {missing[1]}, not given in the config") if missing else None


def _builder_frame(error: Exception) -> FrameType | None:
    """The innermost call of MMEngine's builder, if nothing but constructors was called after it."""
    found, trace = None, error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_name
        if name == "build_from_cfg":
            found = trace.tb_frame
        elif name != "__init__":
            found = None
        trace = trace.tb_next
    return found


def _parameters(built: type) -> list[str]:
    """Names that a class takes, also those that it hands on to its bases."""
    owners = [owner.__init__ for owner in built.__mro__[:-1]] if inspect.isclass(built) else [built]
    names = [name for owner in owners for name in inspect.signature(owner).parameters]
    return [name for name in dict.fromkeys(names) if name not in ("self", "args", "kwargs")]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

"""One file for each family of MLLMs, of the name that transformers has for it (``model_type``).

A file holds a subclass of ``backbones/family.py``'s ``Family``, by that name too. Files whose names begin
with an underscore are what several have in common.
"""

from importlib import import_module
from pkgutil import iter_modules

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones import family

FAMILIES = tuple(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
"""The ``model_type`` of every family."""


def family_of(model_type: object) -> family.Family:
    """The family of that ``model_type``.

    Raises:
        ConfigError: there is none.
    """
    if model_type not in FAMILIES:
        raise ConfigError(f"arch.model_type={model_type!r}: no such base; there are {', '.join(FAMILIES)}")
    return import_module(f"{__name__}.{model_type}").Family()

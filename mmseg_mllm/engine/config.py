"""Reading a config for the tools, and fitting it to the number of processes."""

from collections.abc import Iterator

from mmengine.config import Config, ConfigDict

from mmseg_mllm.engine.cli import check_config_path
from mmseg_mllm.engine.typos import check_keys
from mmseg_mllm.errors import ConfigError


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config file and apply ``--cfg-options``.

    The option ``data_root`` moves every dataset of the config.

    Raises:
        ConfigError: there is no such file, a module that it imports is not found, or a key is misspelt.
    """
    check_config_path(path)
    try:
        config = Config.fromfile(path)
    except ImportError as error:
        raise ConfigError(f"{path}: custom_imports: {_import_problem(error)}") from None
    if options:
        config.merge_from_dict(options)
        if "data_root" in options:
            for dataset in dataset_configs(config):
                dataset.data_root = options["data_root"]
    check_keys(config)
    return config


def _import_problem(error: ImportError) -> str:
    """What is missing, and how it gets there."""
    # mmengine's own message is the search path of Python; the first error says what is missing.
    first = error
    while isinstance(cause := first.__cause__ or first.__context__, ImportError):
        first = cause
    missing = (getattr(first, "name", None) or "").split(".")[0]
    if missing in ("mmpretrain", "torchvision") or "torchvision" in str(first):
        return (
            f"{first}; MMPretrain's backbones need mmpretrain and a torchvision that fits torch: "
            "pip install 'mmseg_mllm[mmpretrain]'"
        )
    return (
        f"{first}; a module of your own is found in the folders of PYTHONPATH: start with "
        f"PYTHONPATH=FOLDER, the one that holds {missing or 'it'}; a package must be installed"
    )


def dataset_configs(config: Config) -> list[ConfigDict]:
    """All datasets of a config that have a ``data_root``, taken out of any concatenation."""
    return list(_dicts_with(config._cfg_dict, "data_root"))


def test_datasets(config: Config) -> list[ConfigDict]:
    """The referring datasets of the test dataloader, taken out of any concatenation."""
    return list(_dicts_with(config.test_dataloader, "ann_file"))


def fit_effective_batch(config: Config, *, processes: int) -> None:
    """Give any number of processes the batch that the schedule was made for.

    ``effective_batch_size`` of the config counts images per optimiser step over all processes;
    ``train_dataloader.batch_size`` is the most that one process holds at a time. Fewer processes than
    planned accumulate gradients, and everything counted in iterations is stretched by as much.

    Raises:
        ConfigError: the effective batch can't be divided evenly.
    """
    effective = config.get("effective_batch_size")
    if effective is None:
        return
    most = config.train_dataloader.batch_size
    if effective % processes:
        raise ConfigError(
            f"effective_batch_size={effective} can't be shared evenly by {processes} processes; use a number "
            "of processes that divides it, or set effective_batch_size=None"
        )
    share = effective // processes
    rounds = -(-share // most)
    while share % rounds:
        rounds += 1
    config.train_dataloader.batch_size = share // rounds
    if rounds > 1:
        _stretch(config, rounds)


def _stretch(config: Config, rounds: int) -> None:
    config.optim_wrapper.accumulative_counts = rounds
    config.train_cfg.max_iters *= rounds
    config.train_cfg.val_interval *= rounds
    config.default_hooks.checkpoint.interval *= rounds
    for scheduler in config.param_scheduler:
        for key in ("begin", "end", "T_max"):
            if key in scheduler:
                scheduler[key] *= rounds


def _dicts_with(node, key: str) -> Iterator[ConfigDict]:
    if isinstance(node, dict):
        if key in node and "type" in node:
            yield node
        for child in node.values():
            yield from _dicts_with(child, key)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _dicts_with(child, key)

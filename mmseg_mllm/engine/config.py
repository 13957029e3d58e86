"""Reading a config for the tools, and fitting it to the number of processes."""

from collections.abc import Iterator
from importlib.util import find_spec

from mmengine.config import Config, ConfigDict
from mmengine.config.utils import ConfigParsingError

from mmseg_mllm.engine.cli import check_config_path
from mmseg_mllm.engine.typos import check_keys
from mmseg_mllm.errors import ConfigError

VIS_PACKAGES = dict(
    TensorboardVisBackend="tensorboard",
    WandbVisBackend="wandb",
    MLflowVisBackend="mlflow",
    ClearMLVisBackend="clearml",
    NeptuneVisBackend="neptune",
    DVCLiveVisBackend="dvclive",
    AimVisBackend="aim",
)
"""What mmengine's backends of a visualiser import."""


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config file and apply ``--cfg-options``.

    The option ``data_root`` moves every dataset of the config. Images are resized to
    ``model.backbone.image_size`` where that is set, whatever the pipelines say. A dataloader with
    ``num_workers=0`` loses its settings of workers.

    Raises:
        ConfigError: there is no such file, it or one that it builds on is no config, a module that it imports
            is not found, or a key is misspelt.
    """
    check_config_path(path)
    try:
        config = Config.fromfile(path)
    except ImportError as error:
        raise ConfigError(f"{path}: custom_imports: {_import_problem(error)}") from None
    except SyntaxError as error:
        where = path if error.filename in (None, "<unknown>") else error.filename
        line = (error.text or "").strip()
        raise ConfigError(f"{where}, line {error.lineno}: {error.msg}: {line}") from None
    except (NameError, AttributeError, KeyError, FileNotFoundError, ConfigParsingError) as error:
        says = f"there is no {error}" if isinstance(error, KeyError) else error
        raise ConfigError(f"{path}, or a config that it builds on: {says}") from None
    if options:
        config.merge_from_dict(options)
        if "data_root" in options:
            for dataset in dataset_configs(config):
                dataset.data_root = options["data_root"]
    _fit_image_size(config)
    for name in ("train", "val", "test"):
        _fit_workers(config.get(f"{name}_dataloader") or {})
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
    planned accumulate the gradients of several batches; iterations are steps of the optimiser in any case.

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
        config.optim_wrapper.accumulative_counts = rounds


def check_vis_backends(config: Config) -> None:
    """See that the packages of the visualiser's backends are there; mmengine ends in a traceback later on.

    Raises:
        ConfigError: one is not.
    """
    for backend in (config.get("visualizer") or {}).get("vis_backends") or []:
        package = VIS_PACKAGES.get(backend["type"])
        if package and not find_spec(package):
            raise ConfigError(
                f"visualizer.vis_backends: {backend['type']} needs a package that is not installed: "
                f"pip install {package}"
            )


def _fit_image_size(config: Config) -> None:
    """Pipelines are made before a base config's size can be changed by another."""
    side = ((config.get("model") or {}).get("backbone") or {}).get("image_size")
    if side is not None:
        for step in _dicts_with(config._cfg_dict, "size"):
            if step["type"] == "ResizeToInput":
                step["size"] = side


def _fit_workers(dataloader: dict) -> None:
    """torch refuses settings of workers where there are none."""
    if dataloader.get("num_workers") == 0:
        for setting in ("persistent_workers", "prefetch_factor", "multiprocessing_context", "timeout"):
            dataloader.pop(setting, None)


def _dicts_with(node, key: str) -> Iterator[ConfigDict]:
    if isinstance(node, dict):
        if key in node and "type" in node:
            yield node
        for child in node.values():
            yield from _dicts_with(child, key)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _dicts_with(child, key)


def resume(config: Config, checkpoint: str | None) -> None:
    """Let a run go on from a checkpoint: the given one, or the newest of its ``work_dir`` that can be read.

    Where the work dir has none, the run begins as the config says.
    """
    config.resume = "newest" if checkpoint is None else True
    config.load_from = checkpoint or config.get("load_from")

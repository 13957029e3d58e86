"""What all tools share on the command line. Imports no torch: --help and a wrong path are told at once."""

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mmengine.config import DictAction

from mmseg_mllm.errors import CheckpointError, ConfigError, MMSegMLLMError
from mmseg_mllm.packaged_configs import PREFIX, config_path

COMMAND = "MMSEG_MLLM_COMMAND"
"""Variable with the command line that started several processes."""


def config_parser(description: str) -> argparse.ArgumentParser:
    """Parser of a tool that reads a config."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    add_cfg_options(parser)
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The flag that all tools with configs have."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="settings that override the config, as key=value; data_root=DIR moves all datasets",
    )


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """The config and the flags of MMSegmentation's tools that run a model."""
    parser.add_argument("config", help=f"config file, or {PREFIX}NAME for one of the package")
    add_cfg_options(parser)
    parser.add_argument("--work-dir", help="where logs and checkpoints go; work_dirs/CONFIG by default")
    parser.add_argument(
        "--shard", action="store_true", help="each process holds a part of every parameter (FSDP2)"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)


def check_run_flags(args: argparse.Namespace) -> None:
    """Find the config, and leave the local rank where mmengine looks for it.

    Raises:
        ConfigError: there is no such config.
    """
    if args.config.startswith(PREFIX):
        args.config = str(config_path(args.config))
    check_config_path(args.config)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))


def check_config_path(path: str | Path) -> None:
    """See that a config is there.

    Raises:
        ConfigError: it is not.
    """
    if not Path(path).is_file():
        raise ConfigError(
            f"{path}: no such config file; `mmseg-mllm configs` lists those that come with the package"
        )


def check_checkpoint_path(path: str | Path) -> None:
    """See that a checkpoint file or a model folder is there.

    Raises:
        CheckpointError: it is not.
    """
    if not Path(path).exists():
        raise CheckpointError(f"{path}: no such checkpoint file or model folder")


def check_source_folder(path: Path) -> None:
    """See that a folder of weights to convert is there.

    Raises:
        CheckpointError: it is not.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder")


def check_out_file(flag: str, path: str | Path | None) -> None:
    """See, before hours of work, that the file of a flag can be written; None is no file.

    Raises:
        ConfigError: its folder is not there.
    """
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise ConfigError(f"{flag} {path}: there is no folder {Path(path).parent}")


def made_by() -> str:
    """The command that runs this again, for the foot of a table.

    What starts several processes (``tools/dist_test.sh``) leaves its own command in their environment.
    """
    program, *arguments = sys.argv
    start = ["mmseg-mllm"] if Path(program).name in ("mmseg-mllm", "__main__.py") else ["python", program]
    return os.environ.get(COMMAND) or shlex.join([*start, *arguments])


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool's main function; an error meant for people ends it with its message and exit code 1.

    Ctrl-C ends it with the shell's code for that, 130, and one line.
    """
    # Of an image whose EXIF block or tags are damaged, while its pixels are read all the same.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        main()
    except (TypeError, KeyError) as error:
        from mmseg_mllm.engine.typos import config_mistake

        mistake = config_mistake(error)
        if mistake is None:
            raise
        _end(mistake)
    except MMSegMLLMError as error:
        _end(error)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr, flush=True)
        sys.exit(130)


def _end(error: MMSegMLLMError) -> NoReturn:
    rank, world_size = (os.environ.get(name, "0") for name in ("RANK", "WORLD_SIZE"))
    where = f" (process {rank} of {world_size})" if int(world_size) > 1 else ""
    print(f"error{where}: {_plain_message(error)}", file=sys.stderr, flush=True)
    # Other processes may wait in a collective call that this one will never join.
    sys.exit(1)


def _plain_message(error: MMSegMLLMError) -> str:
    """The message alone, also where a data worker has wrapped it into its traceback."""
    return str(error).rsplit(f"{type(error).__name__}: ", maxsplit=1)[-1].strip()

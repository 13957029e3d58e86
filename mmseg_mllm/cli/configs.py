"""``mmseg-mllm configs``: the configs that come with the package."""

import argparse
from pathlib import Path

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.packaged_configs import PREFIX, config_names, copied_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--copy",
        nargs=2,
        metavar=("NAME", "DST"),
        help="write one of them into a new file (or into a folder), to be changed there",
    )


def run(args: argparse.Namespace) -> None:
    if args.copy is None:
        print(*config_names(), sep="\n")
        print(f'inherit from one with _base_ = "{PREFIX}NAME"')
        return
    name, target = args.copy[0], Path(args.copy[1])
    text = copied_text(name)
    if target.is_dir():
        target = target / f"{Path(name).stem}.py"
    if target.suffix != ".py":
        raise ConfigError(f"{target}: a config is a file *.py, or name a folder that is there")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{target}: is there already; remove it, or give another name") from None
    except OSError as error:
        raise ConfigError(f"{target}: can't be written ({error.strerror})") from None
    print(f"{target}: train with mmseg-mllm train {target}")

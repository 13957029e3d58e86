"""What the writers of all toy sets share: the scenes, their pictures, and the tool around a writer."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmseg_mllm.errors import MMSegMLLMError

from .layout import Scene
from .render import render_scene
from .stamp import ToyArguments, is_finished
from .vocabulary import scene_rng

_JPEG_QUALITY = 92


def each_scene(
    *, arguments: ToyArguments, sample: Callable[..., Scene], show_progress: bool
) -> Iterator[tuple[int, Scene]]:
    """(index in its split, scene) of every image of a set, split by split, with a progress bar on request.

    ``sample`` makes a scene from ``seed``, ``split`` and ``index``.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not show_progress) as progress:
        task = progress.add_task("toy images", total=sum(arguments.counts.values()))
        for split, count in arguments.counts.items():
            for index in range(count):
                yield index, sample(seed=arguments.seed, split=split, index=index)
                progress.advance(task)


def save_picture(*, scene: Scene, seed: int, index: int, path: Path) -> None:
    """Draw the ``index``-th scene of its split and save it as JPEG."""
    rng = scene_rng(seed=seed, split=scene.split, index=index, stream="picture")
    picture = Image.fromarray(render_scene(scene=scene, rng=rng))
    picture.save(path, quality=_JPEG_QUALITY, subsampling=0)


def run_toy_tool(
    *, description: str, default_counts: dict[str, int], arguments: type[ToyArguments], write: Callable
) -> int:
    """Parse the command line of a ``make_toy_*.py`` tool and run it.

    Args:
        description: Of the tool.
        default_counts: Images of each split that the set has.
        arguments: Class of the set's arguments.
        write: Writes the set; takes ``out``, ``seed``, ``counts`` and ``show_progress``.

    Returns:
        Exit code: 0 done, 2 wrong use.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    for split, count in default_counts.items():
        help_text = f"images of {split} (default: {count})"
        parser.add_argument(f"--num-{split}", type=int, default=count, metavar="N", help=help_text)
    args = parser.parse_args()
    counts = {split: getattr(args, f"num_{split}") for split in default_counts}
    try:
        if is_finished(out=args.out, arguments=arguments(seed=args.seed, counts=counts)):
            print(f"{args.out} already holds this toy set; nothing to do")
            return 0
        write(out=args.out, seed=args.seed, counts=counts, show_progress=True)
    except MMSegMLLMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {sum(counts.values())} images written")
    return 0

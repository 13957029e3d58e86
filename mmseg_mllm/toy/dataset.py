"""Writes a toy set in the layout that REFER reads."""

import json
import pickle
import shutil
from pathlib import Path

from .expressions import grefcoco_expressions, refcoco_expressions
from .records import CATEGORIES, annotation_records, grefcoco_refs, image_record, refcoco_refs
from .scene import Scene
from .stamp import ToyArguments, begin, finish, is_finished
from .vocabulary import scene_rng
from .writing import each_scene, save_picture


def write_toy_refcoco(
    *, out: str | Path, seed: int = 0, counts: dict[str, int] | None = None, show_progress: bool = False
) -> Path:
    """Write a toy RefCOCO and gRefCOCO; the same arguments give the same bytes.

    Writes ``train2014/*.jpg``, ``refcoco/{instances.json, refs(unc).p}``,
    ``grefcoco/{instances.json, grefs(unc).json}`` and last the stamp ``toy.json``. Does nothing if
    ``out`` is a finished toy set made with the same arguments; starts afresh if it is an unfinished one.

    Args:
        out: new, empty or toy folder.
        seed: 0 or more.
        counts: images of "train", "val", "testA" and "testB", 0 for those left out; None for
            ``vocabulary.DEFAULT_COUNTS``.
        show_progress: draw a progress bar.

    Returns:
        ``out`` as a path.

    Raises:
        ConfigError: see ``ToyArguments``.
        DataError: ``out`` is not a folder, or holds anything else.
    """
    out = Path(out)
    arguments = ToyArguments(seed=seed, counts=counts)
    if is_finished(out=out, arguments=arguments):
        return out
    begin(out=out, arguments=arguments)
    for name in ("train2014", "refcoco", "grefcoco"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir()
    images, annotations, refs, grefs = [], [], [], []
    for index, scene in each_scene(arguments=arguments, show_progress=show_progress):
        image, own, own_refs, own_grefs = _write_scene(out=out, seed=seed, scene=scene, index=index)
        images.append(image)
        annotations += own
        refs += own_refs
        grefs += own_grefs
    instances = json.dumps(
        {"images": images, "annotations": annotations, "categories": CATEGORIES}, separators=(",", ":")
    )
    for name in ("refcoco", "grefcoco"):
        (out / name / "instances.json").write_text(instances, encoding="utf-8")
    (out / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    (out / "grefcoco" / "grefs(unc).json").write_text(json.dumps(grefs), encoding="utf-8")
    finish(out=out)
    return out


def _write_scene(
    *, out: Path, seed: int, scene: Scene, index: int
) -> tuple[dict, list[dict], list[dict], list[dict]]:
    """Save one picture; return its image record, annotations, RefCOCO refs and gRefCOCO refs."""
    origin = dict(seed=seed, split=scene.split, index=index)
    image = image_record(scene=scene, index=index)
    save_picture(scene=scene, seed=seed, index=index, path=out / "train2014" / image["file_name"])
    own = annotation_records(scene=scene, image_id=image["id"])
    ref_rng = scene_rng(**origin, stream="refs")
    refs = refcoco_refs(
        expressions=refcoco_expressions(scene=scene, rng=ref_rng),
        annotations=own,
        image=image,
        split=scene.split,
        rng=ref_rng,
    )
    gref_rng = scene_rng(**origin, stream="grefs")
    grefs = grefcoco_refs(
        expressions=grefcoco_expressions(scene=scene, rng=gref_rng),
        annotations=own,
        image=image,
        split=scene.split,
        rng=gref_rng,
    )
    return image, own, list(refs), list(grefs)

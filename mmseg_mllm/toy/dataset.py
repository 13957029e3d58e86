"""Writes a toy set in the layout that REFER reads."""

import json
import pickle
import shutil
from pathlib import Path

from mmseg_mllm.evaluation.needs import NEEDS_FILE

from .expressions import grefcoco_expressions, refcoco_expressions
from .layout import Scene
from .records import (
    CATEGORIES,
    annotation_records,
    grefcoco_refs,
    image_record,
    refcoco_refs,
    sentence_needs,
)
from .scene import sample_scene
from .stamp import ToyArguments, begin, finish, is_finished
from .vocabulary import scene_rng
from .writing import each_scene, save_picture


def write_toy_refcoco(
    *, out: str | Path, seed: int = 0, counts: dict[str, int] | None = None, show_progress: bool = False
) -> Path:
    """Write a toy RefCOCO and gRefCOCO; the same arguments give the same bytes.

    Writes ``train2014/*.jpg``, ``refcoco/{instances.json, refs(unc).p}``,
    ``grefcoco/{instances.json, grefs(unc).json}``, beside both ``needs.json`` (see
    ``evaluation.groups.need_groups``) and last the stamp ``toy.json``. Does nothing if
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
    needs: dict[str, dict[str, list[str]]] = {"refcoco": {}, "grefcoco": {}}
    for index, scene in each_scene(arguments=arguments, sample=sample_scene, show_progress=show_progress):
        image, own, own_refs, own_grefs = _write_scene(
            out=out, seed=seed, scene=scene, index=index, needs=needs
        )
        images.append(image)
        annotations += own
        refs += own_refs
        grefs += own_grefs
    instances = json.dumps(
        {"images": images, "annotations": annotations, "categories": CATEGORIES}, separators=(",", ":")
    )
    for name, own_needs in needs.items():
        (out / name / "instances.json").write_text(instances, encoding="utf-8")
        (out / name / NEEDS_FILE).write_text(json.dumps(own_needs), encoding="utf-8")
    (out / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    (out / "grefcoco" / "grefs(unc).json").write_text(json.dumps(grefs), encoding="utf-8")
    finish(out=out)
    return out


def _write_scene(
    *, out: Path, seed: int, scene: Scene, index: int, needs: dict[str, dict[str, list[str]]]
) -> tuple[dict, list[dict], list[dict], list[dict]]:
    """Save one picture, note what its sentences need; return its image, annotations, refs and grefs."""
    origin = dict(seed=seed, split=scene.split, index=index)
    image = image_record(scene=scene, index=index)
    save_picture(scene=scene, seed=seed, index=index, path=out / "train2014" / image["file_name"])
    own = annotation_records(scene=scene, image_id=image["id"])
    ref_rng = scene_rng(**origin, stream="refs")
    expressions = refcoco_expressions(scene=scene, rng=ref_rng)
    refs = list(
        refcoco_refs(expressions=expressions, annotations=own, image=image, split=scene.split, rng=ref_rng)
    )
    needs["refcoco"] |= sentence_needs(expressions=expressions, refs=refs)
    gref_rng = scene_rng(**origin, stream="grefs")
    expressions = grefcoco_expressions(scene=scene, rng=gref_rng)
    grefs = list(
        grefcoco_refs(expressions=expressions, annotations=own, image=image, split=scene.split, rng=gref_rng)
    )
    needs["grefcoco"] |= sentence_needs(expressions=expressions, refs=grefs)
    return image, own, refs, grefs

"""How much the published datasets hold.

Sentences as in the papers; refs and images from the catalogue of TensorFlow Datasets (ref_coco), which
counted the same files. They agree with REFER's own sums: RefCOCO has 142,210 sentences of 50,000 refs in
19,994 images, and either RefCOCOg 95,010 sentences. For gRefCOCO and RefCLEF no certain counts by split were
found. RefCOCO-M's are those of its card on the hub, ReasonSeg's images those that its authors state.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of one split; None where it is not known."""

    images: int
    refs: int
    sentences: int | None


def official_counts(*, dataset: str, refs_file: str) -> dict[str, Counts]:
    """Published counts by split; empty where they are not known.

    Args:
        dataset: Name of the folder, such as 'refcoco+'.
        refs_file: Name of the file, such as 'refs(unc).p', or of a referring JSON, as our converters call it.
    """
    known = _OFFICIAL.get((dataset, refs_file), {})
    return {split: Counts(images=i, refs=r, sentences=s) for split, (i, r, s) in known.items()}


# Images, refs, sentences.
_OFFICIAL = {
    ("refcoco", "refs(unc).p"): {
        "train": (16_994, 42_404, 120_624),
        "val": (1_500, 3_811, 10_834),
        "testA": (750, 1_975, 5_657),
        "testB": (750, 1_810, 5_095),
    },
    ("refcoco", "refs(google).p"): {
        "train": (19_213, 40_000, None),
        "val": (4_559, 5_000, None),
        "test": (4_527, 5_000, None),
    },
    ("refcoco+", "refs(unc).p"): {
        "train": (16_992, 42_278, 120_191),
        "val": (1_500, 3_805, 10_758),
        "testA": (750, 1_975, 5_726),
        "testB": (750, 1_798, 4_889),
    },
    ("refcocog", "refs(umd).p"): {
        "train": (21_899, 42_226, 80_512),
        "val": (1_300, 2_573, 4_896),
        "test": (2_600, 5_023, 9_602),
    },
    ("refcocog", "refs(google).p"): {
        "train": (24_698, 44_822, 85_474),
        "val": (4_650, 5_000, 9_536),
    },
    ("refcoco-m", "annotations.json"): {"validation": (1_190, 2_080, 5_598)},
    ("ReasonSeg", "reasonseg.json"): {
        "train": (239, 239, None),
        "val": (200, 200, 200),
        "test": (779, 779, 779),
    },
}
# The hub's copies have no training split.
for _name, _refs in (("refcoco", "refs(unc).p"), ("refcoco+", "refs(unc).p"), ("refcocog", "refs(umd).p")):
    _OFFICIAL[_name, "annotations.json"] = {
        split: counts for split, counts in _OFFICIAL[_name, _refs].items() if split != "train"
    }

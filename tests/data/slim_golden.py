"""Makes the reference set beside this file from a whole one: python tests/data/slim_golden.py WHOLE OUT.

Same layout; it leaves out whole arrays that are there as slices too, most sizes of DySample, and of the
second language model what the mask decoder computes on the way, which is the first one's decoder again.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

SECOND = "mllmseg_internlm2.npz"
ON_THE_WAY = (
    "vit_",
    "img_llm_down",
    "ca_layer",
    "dysample",
    "text_",
    "conv1",
    "pixel_values",
    "img_hidden",
    "reeval_pred_masks",
)


def keep(file: str, name: str, names: set[str], sizes: dict[str, list[int]]) -> bool:
    if file == "dysample.npz":
        case, array = name.split("/", 1)
        return case in sizes and (array.startswith("state") or array.endswith("{}x{}".format(*sizes[case])))
    if f"{name}__slice" in names:
        return False
    return file != SECOND or not name.startswith(ON_THE_WAY)


def main(whole: Path, out: Path) -> None:
    out.mkdir(parents=True)
    for path in sorted([*whole.glob("*.json"), *whole.glob("*.npz")]):
        shutil.copyfile(path, out / path.name)
    facts = json.loads((out / "dysample.json").read_text())
    # One size for each kind; of the larger scale, one number of groups.
    facts["cases"] = [
        {**case, "sizes": case["sizes"][:1]}
        for case in facts["cases"]
        if case["scale"] == 2 or case["groups"] > 1
    ]
    (out / "dysample.json").write_text(json.dumps(facts))
    sizes = {case["case"]: case["sizes"][0] for case in facts["cases"]}
    for path in sorted(out.glob("*.npz")):
        with np.load(path) as arrays:
            names = set(arrays.files)
            kept = {name: arrays[name] for name in arrays.files if keep(path.name, name, names, sizes)}
        np.savez_compressed(path, **kept)
    print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 2**20:.2f} MiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Part 'dysample': the op in all its variants."""

from pathlib import Path

import torch

from mmseg_mllm.golden.checks import Check, compare
from mmseg_mllm.golden.reference import read_arrays, read_json
from mmseg_mllm.ops import DySample

PART = "dysample"


@torch.inference_mode()
def check_dysample(folder: Path) -> list[Check]:
    """Compare each case of ``dysample.npz`` at each of its sizes."""
    arrays = read_arrays(folder, "dysample.npz")
    checks = []
    for case in read_json(folder, "dysample.json")["cases"]:
        module = DySample(
            case["in_channels"],
            scale_factor=case["scale"],
            style=case["style"],
            groups=case["groups"],
            dyscope=case["dyscope"],
        )
        name = case["case"]
        prefix = f"{name}/state/"
        state = {
            k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)
        }
        # A constant that a fresh module must have by itself.
        checks.append(compare(PART, f"{name} init_pos", module.init_pos, state["init_pos"].numpy(), atol=0))
        module.load_state_dict(state)
        for height, width in case["sizes"]:
            ours = module(torch.from_numpy(arrays[f"{name}/in{height}x{width}"]))
            official = arrays[f"{name}/out{height}x{width}"]
            checks.append(compare(PART, f"{name} {height}x{width}", ours, official))
    return checks

"""The comparison with the authors' numbers passes, and would fail if something were off."""

import json
import shutil

import numpy as np
import pytest
import torch

from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.golden.checks import compare, compare_many
from mmseg_mllm.golden.fill import fill_manifest, fill_tensor
from mmseg_mllm.golden.mllm_part import INPUTS
from mmseg_mllm.golden.verify import PARTS, verify


@pytest.fixture
def own_golden(golden, tmp_path):
    """A copy to change."""
    return shutil.copytree(golden, tmp_path / "golden", copy_function=shutil.copyfile)


def failures(folder, part):
    ((_, checks),) = verify(folder, [part])
    return [f"{c.array}: {c.difference} {c.note}" for c in checks if c.passed is not True]


@pytest.mark.parametrize("part", PARTS)
def test_part_passes(golden, part):
    ((name, checks),) = verify(golden, [part])
    assert name == part
    assert not [c for c in checks if c.passed is not True]
    if part in ("qwen2", "internlm2"):  # each array has its row
        with np.load(golden / f"mllmseg_{part}.npz") as arrays:
            wanted = {n for n in arrays.files if n not in INPUTS and not n.startswith("train_")}
        assert wanted <= {check.array for check in checks}
    else:
        assert len(checks) >= 4


def change_array(folder, file, name, change):
    with np.load(folder / file) as arrays:
        content = {key: arrays[key] for key in arrays.files}
    content[name] = change(content[name])
    np.savez(folder / file, **content)


def keep_arrays(folder, file, wanted):
    with np.load(folder / file) as arrays:
        content = {key: arrays[key] for key in arrays.files if wanted(key)}
    np.savez(folder / file, **content)


def change_json(folder, file, change):
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


def test_changed_references_fail(own_golden):
    change_array(own_golden, "mllmseg_qwen2.npz", "pred_masks__slice", lambda a: a + 2e-4)
    change_array(own_golden, "mllmseg_qwen2.npz", "output_ids", lambda a: np.where(a == 599, 598, a))
    change_array(own_golden, "mllmseg_qwen2.npz", "reeval_seg_hidden", lambda a: a[:-1])

    def other_numbers(facts):
        facts["losses"]["batch01"]["ce_loss"] += 2e-5
        facts["grad_norms_batch01"]["mlp1.1.weight"] *= 1.002
        facts["stats"]["conv1"]["mean"] += 2e-4

    change_json(own_golden, "mllmseg_qwen2.json", other_numbers)
    found = failures(own_golden, "qwen2")
    assert [line.split(":")[0] for line in found] == [
        "pred_masks__slice",
        "output_ids",
        "reeval_seg_hidden",
        "mean, std and largest of whole arrays (72)",
        "batch01 ce_loss",
        "gradient norms (119)",
    ]
    assert "mlp1.1.weight" in found[-1]


def test_changed_prompts_and_metrics_fail(own_golden):
    change_json(own_golden, "prompts.json", lambda p: p["test"][0].update(prompt_add_bos_False="What"))
    change_json(own_golden, "metrics.json", lambda m: m["gres"]["unrounded"].update(N_acc=0.51))
    assert len(failures(own_golden, "prompts")) == 1
    assert failures(own_golden, "metrics")[0].startswith("GRES N-acc")


def test_ids_and_sizes_come_from_the_folder(own_golden):
    """Another set of ids is another set of positions, and is noticed."""
    keep_arrays(own_golden, "mllmseg_qwen2.npz", lambda name: not name.startswith(("train_", "grad:")))
    for file in ("manifest_qwen2.json", "mllmseg_qwen2.json"):
        change_json(own_golden, file, lambda m: m["special_tokens"].update({"[SEG]": 599, "[REJ]": 598}))
    found = failures(own_golden, "qwen2")
    assert any(line.startswith("output_ids") for line in found)
    assert any("shape (1, 64), reference (4, 64)" in line for line in found if "seg_hidden" in line)


def test_sets_that_are_none(own_golden, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        list(verify(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="unknown part 'all'; there are decoder"):
        list(verify(own_golden, ["all"]))
    (own_golden / "prompts.json").write_text("{}")
    with pytest.raises(DataError, match="part 'prompts' is not in the layout"):
        list(verify(own_golden, ["prompts"]))
    (own_golden / "dysample.npz").unlink()
    with pytest.raises(DataError, match=r"dysample\.npz: can't be read"):
        list(verify(own_golden, ["dysample"]))
    for manifest in own_golden.glob("manifest_resdecoder_*.json"):
        manifest.unlink()
    with pytest.raises(DataError, match="nothing to compare for part 'decoder'"):
        list(verify(own_golden, ["decoder"]))


def test_arrays_with_objects_are_refused(own_golden):
    np.savez(own_golden / "dysample.npz", trap=np.array([dict()], dtype=object))
    with pytest.raises(DataError, match=r"dysample\.npz: can't be read .*allow_pickle"):
        list(verify(own_golden, ["dysample"]))


def test_fill_is_that_of_the_fingerprints(golden):
    manifest = json.loads((golden / "manifest_internlm2.json").read_text())
    prints = json.loads((golden / "checkpoint_fingerprints.json").read_text())["internlm2"]
    for name, tensor in fill_manifest(manifest).items():
        first = tensor.flatten()[:2].tolist()
        assert first == pytest.approx(prints[name]["first"][: len(first)], abs=1e-6), name


def test_fill_rules():
    spec = dict(shape=[2, 3], dtype="float32", fill="normal", mean=1.0, std=0.5)
    plain = fill_tensor("a", spec, prefix="p:")
    assert torch.equal(plain, fill_tensor("p:a", spec, prefix=""))
    gained = fill_tensor("a", dict(spec, row_gain={"1": -2.0}), prefix="p:")
    torch.testing.assert_close(gained, plain * torch.tensor([[1.0], [-2.0]]))
    assert (fill_tensor("a", dict(spec, fill="abs_normal"), prefix="") >= 1).all()
    with pytest.raises(DataError, match="fill 'uniform'"):
        fill_tensor("a", dict(spec, fill="uniform"), prefix="")


@pytest.mark.parametrize(
    ("ours", "official", "passed"),
    [
        ([1.0, 2.00009], np.float32([1.0, 2.0]), True),
        ([1.0, 2.0002], np.float32([1.0, 2.0]), False),
        ([1.0, float("nan")], np.float32([1.0, 2.0]), False),
        ([4.0099], np.float16([4.0]), True),
        ([4.011], np.float16([4.0]), False),
        ([7], np.int64([7]), True),
        ([7.00001], np.int64([7]), False),
        ([1.0], np.float32([1.0, 1.0]), False),
    ],
)
def test_compare(ours, official, passed):
    assert compare("part", "array", ours, official).passed is passed


def test_compare_many_names_the_worst():
    check = compare_many("part", "norms", dict(a=(1.0, 1.0), b=(100.2, 100.0), c=(1e-3, 1.1e-3)), rtol=1e-3)
    assert (check.passed, check.note) == (False, "most in c")
    assert compare_many("part", "norms", dict(a=(float("nan"), 1.0)), atol=1.0).passed is False

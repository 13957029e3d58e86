"""Part 'decoder': the mask decoder alone, for each width of the language model."""

from pathlib import Path

import torch

from mmseg_mllm.conversion.head_names import head_state_dict_from_official, official_head
from mmseg_mllm.golden.checks import Check, compare, compare_many
from mmseg_mllm.golden.fill import decoder_inputs, fill_manifest
from mmseg_mllm.golden.head_taps import head_taps
from mmseg_mllm.golden.reference import read_arrays, read_json, set_prefix

PART = "decoder"


def check_decoder(folder: Path) -> list[Check]:
    """Compare ``resdecoder.npz`` for every ``manifest_resdecoder_<width>.json``."""
    arrays, facts = read_arrays(folder, "resdecoder.npz"), read_json(folder, "resdecoder.json")
    widths = sorted(int(path.stem.split("_")[-1]) for path in folder.glob("manifest_resdecoder_*.json"))
    return [check for width in widths for check in _check_width(folder, width, arrays, facts[str(width)])]


@torch.inference_mode()
def _check_width(folder: Path, width: int, arrays: dict, facts: dict) -> list[Check]:
    weights = fill_manifest(read_json(folder, f"manifest_resdecoder_{width}.json"))
    head = official_head({name: tensor.shape for name, tensor in weights.items()}).eval()
    head.load_state_dict(head_state_dict_from_official(weights))
    n_queries, _, height, _ = facts["stats"]["mask"]["shape"]
    side = height // head.mask_scale
    detail, semantic, queries = decoder_inputs(
        set_prefix(folder),
        width=width,
        detail=(side**2, head.in_channels[0]),
        semantic_tokens=(side // head.fusion.upsample.scale_factor) ** 2,
        n_queries=n_queries,
    )
    with head_taps(head) as seen:
        encoded = head.encode(_to_map(detail), _to_map(semantic))
        logits = head.decode(encoded, queries[:, 0], torch.zeros(n_queries, dtype=torch.int64))
    full = dict(
        mask_logits=logits[:, 0],
        mask=logits[:, 0].sigmoid(),
        img_vit_l_32=seen["ca_layer_v2l"].mT.unflatten(1, (side, side)),
        tgt=seen["ca_layer_vl_all"].mT.unflatten(2, (side, side)),
        text_out_adapter=seen["text_out_adapter"],
        conv1_pixel_shuffle=seen["conv1_pixel_shuffle"],
    )
    ours = dict(
        mask_logits=full["mask_logits"][:, ::8, ::8],
        mask=full["mask"][:, ::8, ::8],
        img_vit_l_32=full["img_vit_l_32"][::16, ::4, ::4],
        tgt=full["tgt"][:, ::16, ::4, ::4],
        text_out_adapter=full["text_out_adapter"][::16, ::16],
    )
    prefix = f"txt{width}/"
    official = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    checks = [compare(PART, prefix + name, ours[name], array) for name, array in official.items()]
    numbers = {}
    for name, stats in facts["stats"].items():
        if name in full:
            numbers[f"{name} mean"] = full[name].double().mean().item(), stats["mean"]
            numbers[f"{name} std"] = full[name].double().std(correction=0).item(), stats["std"]
    checks.append(compare_many(PART, f"{prefix}mean and std", numbers, atol=1e-4))
    count = sum(parameter.numel() for parameter in head.parameters())
    checks.append(compare(PART, f"{prefix}parameters", count, facts["params"]))
    return checks


def _to_map(tokens: torch.Tensor) -> torch.Tensor:
    """(1, S * S, C) -> (1, C, S, S)."""
    side = round(tokens.shape[1] ** 0.5)
    return tokens.mT.unflatten(2, (side, side))

"""Parts 'qwen2' and 'internlm2': the authors' checkpoint converted, and all that the whole model computes."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_mllm.conversion.convert import convert_mllmseg
from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.head_names import HEAD_NAMES
from mmseg_mllm.conversion.links import Link, internvl_links
from mmseg_mllm.golden.checks import GRAD_NORM_RTOL, GRAD_RTOL, LOSS_ATOL, Check, compare, compare_many
from mmseg_mllm.golden.fill import fill_manifest, pixel_values, unpack_masks
from mmseg_mllm.golden.head_taps import head_taps
from mmseg_mllm.golden.official_folder import write_official_folder
from mmseg_mllm.golden.official_loss import official_mask_losses
from mmseg_mllm.golden.reference import read_arrays, read_json
from mmseg_mllm.models import MLLMFeatures, MLLMSegmentor
from mmseg_mllm.models.backbones.sequence_layout import Branch, SequenceLayout, pack

EVERY: Mapping[str, tuple[int, ...]] = dict(
    pixel_values=(1, 1, 56, 56),
    vit_feature=(8, 8),
    llm_logits=(1, 16),
    img_llm_down=(4, 8),
    ca_layer_v2l=(8, 8),
    dysample=(8, 2, 2),
    text_out_adapter=(8, 8),
    ca_layer_vl_all=(1, 16, 16),
    ca_layer_vl_query0=(8, 8),
    conv1=(1, 8, 2, 2),
    conv1_pixel_shuffle=(1, 8, 8),
    mask_logits=(1, 8, 8),
    pred_masks=(1, 8, 8),
    reeval_pred_masks=(1, 4, 4),
)
"""Which numbers along each axis the ``*__slice`` arrays hold."""
INPUTS = ("input_ids", "labels", "attention_mask", "seg_rej_positions")


class MLLMPart:
    """One language model of a reference set.

    Args:
        folder: The reference set.
        name: 'qwen2' or 'internlm2'.
    """

    def __init__(self, *, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.manifest = read_json(folder, f"manifest_{name}.json")
        self.facts = read_json(folder, f"mllmseg_{name}.json")
        self.arrays = read_arrays(folder, f"mllmseg_{name}.npz")
        self.prefix = self.manifest.get("prefix", "")
        special = self.manifest["special_tokens"]
        self.image_id, self.seg_id, self.rej_id = (
            special[token] for token in ("<IMG_CONTEXT>", "[SEG]", "[REJ]")
        )

    def check(self) -> list[Check]:
        """All comparisons."""
        with tempfile.TemporaryDirectory() as scratch:
            source, target = Path(scratch, "official"), Path(scratch, "model")
            write_official_folder(self.manifest, source)
            convert_mllmseg(source, target)
            segmentor = MODELS.build(folder_config(target)).eval()
        inference = self.check_inference(segmentor)
        return [*self._check_fill(), *inference, *self._check_training()]

    def _check_fill(self) -> list[Check]:
        fingerprints = read_json(self.folder, "checkpoint_fingerprints.json").get(self.name, {})
        tensors = fill_manifest(self.manifest)
        numbers = {}
        for name, print_ in fingerprints.items():
            tensor = tensors[name].double()
            numbers[f"{name} sum"] = tensor.sum().item(), print_["sum"]
            numbers[f"{name} norm"] = tensor.norm().item(), print_["l2"]
        parameters = sum(p.numel() for p in self.segmentor.parameters())
        decoder = sum(p.numel() for p in self.segmentor.decode_head.parameters())
        return [
            *([compare_many(self.name, "fill: sum, norm", numbers, atol=1e-4)] if numbers else []),
            compare(self.name, "parameters", parameters, self.facts["total_params"]),
            compare(self.name, "parameters of the decoder", decoder, self.facts["res_decoder_params"]),
        ]

    @torch.inference_mode()
    def check_inference(self, segmentor: MLLMSegmentor) -> list[Check]:
        """Features, verdicts and masks of a segmentor with the set's weights."""
        self.segmentor = segmentor
        backbone, head = self.segmentor.backbone, self.segmentor.decode_head
        images = pixel_values(self.prefix, side=backbone.image_size)
        ids = self.arrays["input_ids"][0].tolist()
        first = self._layout(ids)
        cls, vision_tap = [], backbone.model.model.vision_tower
        tap = vision_tap.register_forward_hook(lambda _, inputs, out: cls.append(out.last_hidden_state[0, 0]))
        vision = backbone.see(images)
        tap.remove()
        hidden, features = self._read(vision, first)
        positions = first.slot_reads + 1
        is_seg = first.input_ids[positions] == self.seg_id
        logits = backbone.model.lm_head(hidden)
        with head_taps(head) as seen:
            self._masks(features, is_seg)
        verdicts = torch.where(backbone.says_rej(features.queries), self.rej_id, self.seg_id)
        output_ids = first.input_ids.scatter(0, positions, verdicts)

        again = self._layout([self.seg_id if token == self.rej_id else token for token in ids])
        hidden_again, features_again = self._read(vision, again)
        masks_again = self._masks(features_again, torch.ones_like(is_seg))[:, 0].sigmoid()
        ours = dict(
            seen,
            pixel_values=images,
            vit_cls=cls[0][None],
            vit_feature=_tokens(vision.detail),
            vit_embeds_mlp1=vision.image_tokens[0],
            llm_last_hidden_state=hidden,
            seg_hidden=features.queries[is_seg],
            img_hidden=_tokens(features.semantic),
            logits_before_seg_rej=logits[positions - 1],
            llm_logits=logits,
            ca_layer_vl_query0=seen["ca_layer_vl_all"][0],
            pred_masks=seen["mask_logits"].sigmoid(),
            output_ids=output_ids,
            argmax_before_seg_rej=logits[positions - 1].argmax(1),
            reeval_output_ids=output_ids,
            reeval_input_ids_after=again.input_ids[None],
            reeval_llm_last_hidden_state__tail=hidden_again[positions[0] - 1 :],
            reeval_seg_hidden=features_again.queries,
            reeval_pred_masks=masks_again,
        )
        return [*self._compare_arrays(ours), *self._compare_statistics(ours)]

    def _compare_arrays(self, ours: Mapping[str, Tensor]) -> list[Check]:
        checks = []
        for name, official in self.arrays.items():
            full = name.removesuffix("__slice")
            if name in INPUTS or name.startswith(("train_", "grad:")):
                continue
            if full not in ours:
                checks.append(_unknown(self.name, name))
                continue
            found = ours[full]
            if name != full:
                every = EVERY.get(full, (1,) * found.ndim)
                found = found[tuple(slice(None, None, step) for step in every)]
            checks.append(compare(self.name, name, found, official))
        return checks

    def _compare_statistics(self, ours: Mapping[str, Tensor]) -> list[Check]:
        numbers = {}
        for name, stats in self.facts["stats"].items():
            if not isinstance(stats, dict) or name.removesuffix("__slice") not in ours:
                continue
            values = ours[name.removesuffix("__slice")].double()
            if name.endswith("__slice"):
                every = EVERY[name.removesuffix("__slice")]
                values = values[tuple(slice(None, None, step) for step in every)]
            numbers[f"{name} mean"] = values.mean().item(), stats["mean"]
            numbers[f"{name} std"] = values.std(correction=0).item(), stats["std"]
            numbers[f"{name} largest"] = values.abs().max().item(), stats["absmax"]
        return [compare_many(self.name, "mean, std and largest of whole arrays", numbers, atol=1e-4)]

    def _check_training(self) -> list[Check]:
        self.segmentor.requires_grad_(True)
        checks = []
        for key in self.arrays:
            batch = re.fullmatch(r"train_(\w+?)(\d+)_input_ids", key)
            if not batch:
                continue
            name = batch[1] + batch[2]
            images = [int(digit) for digit in batch[2]]
            losses = self._losses(name, images)
            official = self.facts["losses"][name]
            checks += [
                compare(self.name, f"{name} {loss}", losses[loss], value, atol=LOSS_ATOL)
                if loss in losses
                else _unknown(self.name, f"{name} {loss}")
                for loss, value in official.items()
            ]
            if f"grad_norms_{name}" in self.facts:
                self.segmentor.zero_grad()
                losses["loss"].backward()
                checks += self._compare_gradients(self.facts[f"grad_norms_{name}"])
        return checks

    def _losses(self, name: str, images: list[int]) -> dict[str, Tensor]:
        side = self.segmentor.backbone.image_size
        pixels = [pixel_values(self.prefix, f"train{b}:pixel_values", side=side) for b in images]
        features, is_seg = self._read_batch(torch.cat(pixels), name)
        logits = self._masks(features, is_seg)
        total: dict[str, Tensor] = {}
        for row, b in enumerate(images):
            own = features.image_index == row
            masks = unpack_masks(self.arrays[f"train_gt{b}_packed"], tuple(self.arrays[f"train_gt{b}_shape"]))
            part = official_mask_losses(logits[own[is_seg]], masks[is_seg[own]], n_expressions=int(own.sum()))
            total = {key: total.get(key, 0) + value for key, value in part.items()}
        losses = {key: value / len(is_seg) for key, value in total.items()}
        weights = self.facts.get("loss_weights", {})
        focal, dice = (weights.get(k, 1.0) * losses[f"mask_{k}_loss"] for k in ("focal", "dice"))
        losses |= dict(ce_loss=features.loss_text, mask_loss=focal + dice)
        losses["loss"] = weights.get("ce", 1.0) * features.loss_text + losses["mask_loss"]
        return losses

    def _compare_gradients(self, official_norms: Mapping[str, float]) -> list[Check]:
        native = {
            name.removeprefix("backbone.model.").removeprefix("decode_head."): parameter
            for name, parameter in self.segmentor.named_parameters()
        }
        model = self.segmentor.backbone.model
        links = internvl_links(model.state_dict(), config=model.config)
        links += [Link(original=official, native=(ours,)) for ours, official in HEAD_NAMES.items()]
        gradients = {}
        for link in links:
            if link.native[0] in native:  # buffers have none
                parts = [native[name] for name in link.native]
                parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parts]
                gradients[link.original] = link.to_original(parts)
        missing = sorted(set(official_norms) ^ set(gradients))
        checks = [compare(self.name, "parameters with another name", len(missing), 0)]
        norms = {
            name: (gradients[name].double().norm().item(), norm)
            for name, norm in official_norms.items()
            if name in gradients
        }
        checks.append(compare_many(self.name, "gradient norms", norms, rtol=GRAD_NORM_RTOL))
        for key, array in self.arrays.items():
            if key.startswith("grad:"):
                atol = GRAD_RTOL * float(np.abs(array).max())
                checks.append(compare(self.name, key, gradients[key.removeprefix("grad:")], array, atol=atol))
        return checks

    def _layout(self, ids: list[int]) -> SequenceLayout:
        """A prefix up to the image's end, and one branch with all expressions: 'joint'."""
        end = len(ids) - ids[::-1].index(self.image_id)
        slots = [i - end for i, token in enumerate(ids) if token in (self.seg_id, self.rej_id)]
        branch = Branch(ids=ids[end:], slots=slots)
        return pack(prefix=ids[:end], branches=[[branch]], image_token_id=self.image_id)

    def _read_batch(self, images: Tensor, name: str) -> tuple[MLLMFeatures, Tensor]:
        """Features of a training batch as the authors' collator pads it, and which expressions say [SEG].

        Padding is not seen, sees what stands before it, and is trained where its label says so; no layout of
        this package does that.
        """
        backbone = self.segmentor.backbone
        ids, labels, positions, visible = (
            torch.from_numpy(self.arrays[f"train_{name}_{what}"])
            for what in ("input_ids", "labels", "position_ids", "attention_mask")
        )
        vision = backbone.see(images)
        embeds = backbone.model.get_input_embeddings()(ids)
        at_image = ids == self.image_id
        causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        hidden = backbone.model.model.language_model(
            inputs_embeds=embeds.masked_scatter(at_image[..., None], vision.image_tokens),
            attention_mask=(causal & visible.bool()[:, None, :])[:, None],
            position_ids=positions,
        ).last_hidden_state
        slots = ((ids == self.seg_id) | (ids == self.rej_id)) & visible.bool()
        image_index, at = slots.nonzero(as_tuple=True)
        before_image = at_image.nonzero()[:, 1].view(len(images), -1) - 1
        semantic = torch.stack([row[read] for row, read in zip(hidden, before_image, strict=True)])
        trained = labels[:, 1:] != -100
        logits = backbone.model.lm_head(hidden[:, :-1][trained])
        features = MLLMFeatures(
            detail=vision.detail,
            semantic=semantic.mT.unflatten(2, (round(semantic.shape[1] ** 0.5), -1)),
            queries=hidden[image_index, at - 1],
            image_index=image_index,
            loss_text=F.cross_entropy(logits, labels[:, 1:][trained]),
        )
        return features, ids[slots] == self.seg_id

    def _read(self, vision, layout: SequenceLayout) -> tuple[Tensor, MLLMFeatures]:
        """(L, C_l) last hidden states of the sequence, and the features."""
        hidden = []
        llm = self.segmentor.backbone.model.model.language_model
        tap = llm.register_forward_hook(lambda _, inputs, out: hidden.append(out.last_hidden_state[0]))
        features = self.segmentor.backbone.read(vision, layout)
        tap.remove()
        return hidden[0], features

    def _masks(self, features: MLLMFeatures, chosen: Tensor) -> Tensor:
        head = self.segmentor.decode_head
        encoded = head.encode(features.detail, features.semantic)
        return head.decode(encoded, features.queries[chosen], features.image_index[chosen])


def check_mllm(folder: Path, name: str) -> list[Check]:
    """Compare ``mllmseg_<name>.npz``: features, verdicts, masks, losses, gradients."""
    return MLLMPart(folder=folder, name=name).check()


def _tokens(feature_map: Tensor) -> Tensor:
    """(1, C, H, W) -> (H * W, C)."""
    return feature_map[0].flatten(1).T


def _unknown(part: str, array: str) -> Check:
    return Check(part=part, array=array, difference=None, tolerance="", passed=None, note="not known here")

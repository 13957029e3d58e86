"""Referring segmentation: an MLLM backbone, a mask decoder, and the protocol of asking."""

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.models.features import MLLMFeatures
from mmseg_mllm.prompts import prompt_style

PROTOCOLS = ("independent", "joint")


@MODELS.register_module()
class MLLMSegmentor(BaseSegmentor):
    """One mask per expression of an image (MLLMSeg, arXiv 2508.04107).

    Args:
        backbone: Config of an ``MLLMBackbone``.
        decode_head: Config of a ``DSFFHead``. ``in_channels``, ``mask_scale`` and ``semantic_scale`` follow
            from the backbone where they are not given.
        data_preprocessor: Config of ``mmengine``'s ``ImgDataPreprocessor`` with the mean and std (0 to 255).
        prompt: Name of a style in ``prompts.PROMPT_STYLES``.
        protocol: How an image's expressions are asked. 'independent': each alone, for the price of its own
            tokens; 'joint': all in one conversation, in which they see one another, as in MLLMSeg. In both
            the answers are forced: their text is given, [SEG] is scored against [REJ].
    """

    def __init__(
        self,
        *,
        backbone: dict,
        decode_head: dict,
        data_preprocessor: dict | None = None,
        prompt: str = "mllmseg",
        protocol: str = "independent",
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if protocol not in PROTOCOLS:
            raise ConfigError(f"unknown protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
        self.protocol = protocol
        self.prompt = prompt_style(prompt)
        self.backbone = MODELS.build(backbone)
        sizes = dict(
            in_channels=self.backbone.out_channels,
            mask_scale=self.backbone.patch_size,
            semantic_scale=self.backbone.downsample,
        )
        with quiet_upstream():
            self.decode_head = MODELS.build({**sizes, **decode_head})
        self.register_load_state_dict_pre_hook(check_state_dict)

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch: ``loss_text`` and the head's losses on the masks of targets.

        Args:
            inputs: (B, 3, H, W) float, normalised.
            data_samples: B samples with ``expressions``, ``ann_ids`` and ``gt_instances.masks`` (K, H, W).
        """
        has_target = [bool(ids) for sample in data_samples for ids in sample.ann_ids]
        features, logits = self._run(inputs, data_samples, supervised=True, keep=has_target)
        masks = torch.cat([sample.gt_instances.masks for sample in data_samples])[has_target]
        return dict(loss_text=features.loss_text, **self.decode_head.mask_loss(logits, masks))

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Masks at the images' original size.

        Adds to each sample ``protocol`` (str) and ``pred_instances`` with ``masks`` (K, H, W) bool,
        foreground where the probability, resized bilinearly, is at least 0.5; ``scores`` (K,) float32,
        log p([SEG]) - log p([REJ]); ``rejected`` (K,) bool, score below 0.
        """
        features, logits = self._run(inputs, data_samples, supervised=False)
        probabilities = logits.float().sigmoid()
        for i, sample in enumerate(data_samples):
            chosen = features.image_index == i
            resized = F.interpolate(
                probabilities[chosen], size=sample.ori_shape, mode="bilinear", align_corners=False
            )
            scores = features.target_score[chosen]
            sample.pred_instances = InstanceData(
                masks=resized[:, 0] >= 0.5, scores=scores, rejected=scores < 0
            )
            sample.set_metainfo(dict(protocol=f"{self.protocol}, forced"))
        return list(data_samples)

    def _forward(self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None) -> Tensor:
        """Mask logits (N, 1, H, W) of all expressions in order."""
        return self.encode_decode(inputs, data_samples)

    def encode_decode(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
        """Mask logits (N, 1, H, W) of all expressions in order."""
        return self._run(inputs, data_samples, supervised=False)[1]

    def extract_feat(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample], *, supervised: bool = False
    ) -> MLLMFeatures:
        """Features of B images and their N expressions.

        Args:
            inputs: (B, 3, H, W) float, normalised.
            data_samples: B samples with ``expressions``, and for supervision ``ann_ids``.
            supervised: Draw training prompts and compute the loss on the answers.
        """
        rng = random if supervised else None
        turns = []
        for sample in data_samples:
            n = len(sample.expressions)
            groups = [range(n)] if self.protocol == "joint" else [[k] for k in range(n)]
            targets = [bool(ids) for ids in sample.ann_ids] if supervised else [True] * n
            turns.append(
                [
                    self.prompt.branch(
                        [sample.expressions[k] for k in group],
                        has_target=[targets[k] for k in group],
                        rng=rng,
                    )
                    for group in groups
                ]
            )
        layout = self.backbone.layout(
            self.prompt.prefix(), turns, image_size=inputs.shape[-1], supervised=supervised
        )
        return self.backbone(inputs, layout)

    def _run(
        self,
        inputs: Tensor,
        data_samples: Sequence[SegDataSample],
        *,
        supervised: bool,
        keep: list[bool] | None = None,
    ) -> tuple[MLLMFeatures, Tensor]:
        """Features, and mask logits (N, 1, H, W) of the expressions to ``keep`` (all by default)."""
        features = self.extract_feat(inputs, data_samples, supervised=supervised)
        queries, image_index = features.queries, features.image_index
        if keep is not None:
            queries, image_index = queries[keep], image_index[keep]
        with self.backbone.autocast():
            encoded = self.decode_head.encode(features.detail, features.semantic)
            return features, self.decode_head.decode(encoded, queries, image_index)

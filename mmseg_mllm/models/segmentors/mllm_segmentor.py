"""Referring segmentation: an MLLM backbone, a mask decoder, and the protocol of asking."""

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.boxes import mask_boxes
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.models.backbones.sequence_layout import Branch, SequenceLayout, pack
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.models.features import MLLMFeatures, SeenImages, VisionFeatures
from mmseg_mllm.models.segmentors.protocols import PAPER_PROMPT, Protocol, protocol_of
from mmseg_mllm.prompts import PromptStyle, prompt_style

MAX_NEW_TOKENS = 128
"""Where a generated answer ends at the latest: it repeats the expression, and those have up to 50 words."""


@MODELS.register_module()
class MLLMSegmentor(BaseSegmentor):
    """One mask per expression of an image (MLLMSeg, arXiv 2508.04107).

    Args:
        backbone: Config of an ``MLLMBackbone``.
        decode_head: Config of a ``DSFFHead``. ``in_channels``, ``mask_scale`` and ``semantic_scale`` follow
            from the backbone where they are not given.
        data_preprocessor: Config of ``mmengine``'s ``ImgDataPreprocessor`` with the mean and std (0 to 255).
        prompt: Name of a style in ``prompts.PROMPT_STYLES``.
        protocol: Name of a way of asking in ``protocols.PROTOCOLS``. 'independent': each expression alone,
            for the price of its own tokens; 'joint': all of an image in one conversation; 'paper': as
            MLLMSeg's code tests; 'generate': the model writes its answers. Training asks alone or jointly,
            and gives the answers.
        max_expressions: Most expressions of an image that pass the LLM together at test, in protocol
            'independent'; more are asked in parts after the image was read once, with the same result.
        empty_masks: Train expressions without a target to have an empty mask, as well as to be answered with
            [REJ]; otherwise masks are trained on targets alone, as in MLLMSeg.
    """

    def __init__(
        self,
        *,
        backbone: dict,
        decode_head: dict,
        data_preprocessor: dict | None = None,
        prompt: str = "mllmseg",
        protocol: str = "independent",
        max_expressions: int = 64,
        empty_masks: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.max_expressions = max_expressions
        self.empty_masks = empty_masks
        self.protocol = protocol_of(protocol)
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
        """Losses of a batch: ``loss_text``, and the head's losses on masks (see ``empty_masks``).

        Args:
            inputs: (B, 3, H, W) float, normalised.
            data_samples: B samples with ``expressions``, ``ann_ids`` and ``gt_instances.masks`` (K, H, W).
        """
        drawn = [self.empty_masks or bool(ids) for sample in data_samples for ids in sample.ann_ids]
        features, logits = self._run(inputs, data_samples, supervised=True, keep=drawn)
        masks = torch.cat([sample.gt_instances.masks for sample in data_samples])[drawn]
        return dict(loss_text=features.loss_text, **self.decode_head.mask_loss(logits, masks))

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Masks at the images' original size.

        Adds to each sample ``protocol`` (str) and ``pred_instances`` with ``masks`` (K, H, W) bool,
        foreground where the probability, resized bilinearly, is at least 0.5; ``probabilities`` (K, H, W)
        float32, those; ``bboxes`` (K, 4) float32 xyxy around probabilities above 0.5, maxima inclusive, zeros
        for none; ``scores`` (K,) float32, log p([SEG]) - log p([REJ]); ``rejected`` (K,) bool, the model
        holds that there is no target: score below 0, in protocol 'paper' [REJ] likelier than all other
        tokens, in 'generate' no [SEG] written (the mask is then empty).
        """
        most = max(len(sample.expressions) for sample in data_samples)
        if self.protocol.name == "independent" and most > self.max_expressions:
            return self._predict_in_parts(inputs, data_samples, most=most)
        features, logits = self._run(inputs, data_samples, supervised=False)
        return self._answered(features, logits, data_samples, protocol=self.protocol)

    def _predict_in_parts(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample], *, most: int
    ) -> list[SegDataSample]:
        seen = self.look(inputs)
        found: list[list[InstanceData]] = [[] for _ in data_samples]
        for first in range(0, most, self.max_expressions):
            last = first + self.max_expressions
            part = [
                SegDataSample(metainfo=dict(expressions=s.expressions[first:last], ori_shape=s.ori_shape))
                for s in data_samples
            ]
            for kept, sample in zip(found, self.answer(seen, part), strict=True):
                kept.append(sample.pred_instances)
        for sample, kept in zip(data_samples, found, strict=True):
            sample.pred_instances = InstanceData.cat([part for part in kept if len(part)] or kept[:1])
            sample.set_metainfo(dict(protocol=self.protocol.says))
        return list(data_samples)

    @torch.no_grad()
    def look(self, inputs: Tensor) -> SeenImages:
        """Everything that questions about B images have in common: (B, 3, H, W) float, normalised."""
        backbone = self.backbone
        prefix = backbone.read_prefix(backbone.see(inputs), self.prompt.prefix(), image_size=inputs.shape[-1])
        with backbone.autocast():
            return SeenImages(prefix=prefix, encoded=self.decode_head.encode(prefix.detail, prefix.semantic))

    @torch.no_grad()
    def answer(self, seen: SeenImages, data_samples: Sequence[SegDataSample]) -> list[SegDataSample]:
        """What :meth:`predict` does in protocol 'independent', for images seen before.

        Args:
            seen: From :meth:`look`, of the same B images.
            data_samples: B samples with ``expressions`` and ``ori_shape``.
        """
        backbone = self.backbone
        image_size = seen.prefix.detail.shape[-1] * backbone.patch_size
        turns = [[self.prompt.branch([text]) for text in sample.expressions] for sample in data_samples]
        layout = backbone.layout(self.prompt.prefix(), turns, image_size=image_size, supervised=False)
        features = backbone.read_on(seen.prefix, layout)
        with backbone.autocast():
            logits = self.decode_head.decode(seen.encoded, features.queries, features.image_index)
        return self._answered(features, logits, data_samples, protocol=protocol_of("independent"))

    @staticmethod
    def _answered(
        features: MLLMFeatures, logits: Tensor, data_samples: Sequence[SegDataSample], *, protocol: Protocol
    ) -> list[SegDataSample]:
        """Add ``pred_instances`` and ``protocol`` to the samples, as :meth:`predict` says."""
        rejected = features.rejected if protocol.paper or protocol.generated else None
        probabilities = logits.float().sigmoid()
        for i, sample in enumerate(data_samples):
            chosen = features.image_index == i
            resized, scores = _resized(probabilities[chosen], sample.ori_shape), features.target_score[chosen]
            verdicts = scores < 0 if rejected is None else rejected[chosen]
            if protocol.generated:
                resized = resized.masked_fill(verdicts[:, None, None], 0.0)
            sample.pred_instances = InstanceData(
                masks=resized >= 0.5,
                probabilities=resized,
                bboxes=mask_boxes(resized > 0.5),
                scores=scores,
                rejected=verdicts,
            )
            sample.set_metainfo(dict(protocol=protocol.says))
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
        vision = self.backbone.see(inputs)
        if self.protocol.generated and not supervised:
            return self._read_own_answers(vision, inputs, data_samples)
        has_target = [self._answers(sample, supervised=supervised) for sample in data_samples]
        layout = self._layout(inputs, data_samples, has_target, supervised=supervised)
        features = self.backbone.read(vision, layout)
        if supervised or all(map(all, has_target)):
            return features
        # MLLMSeg's "re-evaluation": verdicts are of the first run, everything else of one without [REJ].
        all_seg = [[True] * len(answers) for answers in has_target]
        again = self.backbone.read(vision, self._layout(inputs, data_samples, all_seg, supervised=False))
        return replace(again, target_score=features.target_score, rejected=features.rejected)

    def _answers(self, sample: SegDataSample, *, supervised: bool) -> list[bool]:
        """Which of a sample's given answers say [SEG]; the others say [REJ]."""
        if supervised or (self.protocol.paper and "gt_instances" in sample):
            return [bool(ids) for ids in sample.ann_ids]
        return [True] * len(sample.expressions)

    def _layout(
        self,
        inputs: Tensor,
        data_samples: Sequence[SegDataSample],
        has_target: Sequence[Sequence[bool]],
        *,
        supervised: bool,
    ) -> SequenceLayout:
        style = self._style(supervised=supervised)
        turns = []
        for sample, answers in zip(data_samples, has_target, strict=True):
            n = len(sample.expressions)
            groups = [range(n)] if self.protocol.joint else [[k] for k in range(n)]
            turns.append(
                [
                    style.branch(
                        [sample.expressions[k] for k in group],
                        has_target=[answers[k] for k in group],
                        rng=random if supervised else None,
                    )
                    for group in groups
                ]
            )
        return self.backbone.layout(style.prefix(), turns, image_size=inputs.shape[-1], supervised=supervised)

    def _style(self, *, supervised: bool) -> PromptStyle:
        return prompt_style(PAPER_PROMPT) if self.protocol.paper and not supervised else self.prompt

    def _read_own_answers(
        self, vision: VisionFeatures, inputs: Tensor, data_samples: Sequence[SegDataSample]
    ) -> MLLMFeatures:
        """Features of answers that the model wrote; ``rejected`` where it wrote no [SEG]."""
        backbone = self.backbone
        questions = [[self.prompt.branch([text])[0] for text in s.expressions] for s in data_samples]
        prefix_ids, asked = backbone.questions(self.prompt.prefix(), questions, image_size=inputs.shape[-1])
        written = backbone.generate(
            vision,
            [[prefix_ids + question for question in image] for image in asked],
            max_new_tokens=MAX_NEW_TOKENS,
        )
        branches, rejected = [], []
        for image_questions, image_answers in zip(asked, written, strict=True):
            branches.append([])
            for question, answer in zip(image_questions, image_answers, strict=True):
                ends = answer[-1:] in ([backbone.tokenizer.seg_id], [backbone.tokenizer.rej_id])
                ids = question + (answer[:-1] if ends else answer)
                branches[-1].append(Branch(ids=ids, slots=[len(ids)]))
                rejected.append(answer[-1:] != [backbone.tokenizer.seg_id])
        layout = pack(
            prefixes=[prefix_ids] * len(branches),
            branches=branches,
            image_token_id=backbone.tokenizer.image_id,
        )
        features = backbone.read(vision, layout)
        return replace(features, rejected=torch.tensor(rejected, device=features.rejected.device))

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


def _resized(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """(K, 1, H, W) -> (K, *size), bilinear; torch takes no empty batch."""
    if not len(probabilities):
        return probabilities.new_zeros(0, *size)
    return F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)[:, 0]

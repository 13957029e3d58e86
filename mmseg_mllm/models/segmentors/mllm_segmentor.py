"""Referring segmentation: an MLLM backbone, a mask decoder, and the protocol of asking."""

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import DataError
from mmseg_mllm.models.answers import Answers
from mmseg_mllm.models.backbones.detail_backbone import DetailBackbone
from mmseg_mllm.models.backbones.sequence_layout import Branch, SequenceLayout
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.models.features import MLLMFeatures, SeenImages, VisionFeatures
from mmseg_mllm.models.segmentors.mmseg_apis import NotForMMSegAPIs
from mmseg_mllm.models.segmentors.protocols import PAPER_PROMPT, Protocol, protocol_of
from mmseg_mllm.prompts import CONTROL_TOKENS, PromptStyle, expression_problem, prompt_style

MAX_NEW_TOKENS = 128
"""How much longer than its question a generated answer gets at most; both hold the expression."""


@MODELS.register_module()
class MLLMSegmentor(NotForMMSegAPIs, BaseSegmentor):
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
        max_expressions: Most expressions of a batch that pass together at test; more are asked in parts after
            the images were read once, with the same result. In one conversation ('joint', 'paper'), and where
            answers are generated, it bounds the mask decoder alone.
        detail_backbone: Config of a backbone of mmseg or mmpretrain that sees the image too, once. One of its
            maps is put beside the vision tower's as the mask decoder's detail map, which has its size then.
        detail_index: Which of its outputs that is.
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
        detail_backbone: dict | None = None,
        detail_index: int = -1,
        empty_masks: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.max_expressions = max_expressions
        self.empty_masks = empty_masks
        self.protocol = protocol_of(protocol)
        self.prompt = prompt_style(prompt)
        self.backbone = MODELS.build(backbone)
        detail_channels, semantic_channels = self.backbone.out_channels
        mask_scale = self.backbone.patch_size
        self.detail_backbone = None
        if detail_backbone is not None:
            self.detail_backbone = DetailBackbone(
                backbone=detail_backbone, index=detail_index, image_size=self.backbone.image_size
            )
            detail_channels += self.detail_backbone.out_channels
            mask_scale = self.detail_backbone.stride
        sizes = dict(
            in_channels=(detail_channels, semantic_channels),
            mask_scale=mask_scale,
            semantic_scale=self.backbone.downsample,
        )
        with quiet_upstream():
            self.decode_head = MODELS.build({**sizes, **decode_head})
        self.register_load_state_dict_pre_hook(check_state_dict)

    def init_weights(self) -> None:
        """mmengine's, of the parts whose weights did not come with construction.

        For all of them it would take the mean of each tensor, of the packed ones of a quantised model, too.
        """
        for part in (self.detail_backbone, self.decode_head):
            if part is not None:
                part.init_weights()
        self._is_init = True

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch: ``loss_text``, and the head's losses on masks (see ``empty_masks``).

        Args:
            inputs: (B, 3, H, W) float, normalised.
            data_samples: B samples with ``expressions``, ``ann_ids`` and ``gt_instances.masks`` (K, H, W).
        """
        features = self.extract_feat(inputs, data_samples, supervised=True)
        masks = torch.cat([sample.gt_instances.masks for sample in data_samples])
        drawn = [self.empty_masks or bool(ids) for sample in data_samples for ids in sample.ann_ids]
        # As numbers: a mask of bools would make the CPU wait for the device.
        chosen = torch.tensor([n for n, is_drawn in enumerate(drawn) if is_drawn], dtype=torch.long)
        chosen = chosen.to(features.queries.device, non_blocking=True)
        with self.backbone.autocast():
            encoded = self.decode_head.encode(features.detail, features.semantic)
            logits = self.decode_head.decode(encoded, features.queries[chosen], features.image_index[chosen])
        return dict(loss_text=features.loss_text, **self.decode_head.mask_loss(logits, masks[chosen]))

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
        return _with_answers(data_samples, self.answers(inputs, data_samples))

    @torch.no_grad()
    def answers(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> list[Answers]:
        """What :meth:`predict` gives, before it has the images' size; samples need ``expressions`` alone."""
        count = sum(len(sample.expressions) for sample in data_samples)
        if self.protocol.name == "independent" and count > self.max_expressions:
            return self.answers_on(self.look(inputs), data_samples)
        features = self.extract_feat(inputs, data_samples)
        return self._answered(features, self._mask_logits(features), data_samples, protocol=self.protocol)

    def see(self, inputs: Tensor) -> VisionFeatures:
        """What the vision tower, and the detail backbone if there is one, make of (B, 3, H, W) images."""
        vision = self.backbone.see(inputs)
        if self.detail_backbone is None:
            return vision
        with self.backbone.autocast():
            return replace(vision, detail=self.detail_backbone(inputs, vision.detail))

    @torch.no_grad()
    def look(self, inputs: Tensor) -> SeenImages:
        """Everything that questions about B images have in common: (B, 3, H, W) float, normalised."""
        backbone = self.backbone
        prefix = backbone.read_prefix(self.see(inputs), self.prompt.system, image_size=_size(inputs))
        with backbone.autocast():
            return SeenImages(prefix=prefix, encoded=self.decode_head.encode(prefix.detail, prefix.semantic))

    def answer(self, seen: SeenImages, data_samples: Sequence[SegDataSample]) -> list[SegDataSample]:
        """What :meth:`predict` does in protocol 'independent', for images seen before.

        Args:
            seen: From :meth:`look`, of the same B images.
            data_samples: B samples with ``expressions``, one or more in all, and ``ori_shape``.
        """
        return _with_answers(data_samples, self.answers_on(seen, data_samples))

    @torch.no_grad()
    def answers_on(self, seen: SeenImages, data_samples: Sequence[SegDataSample]) -> list[Answers]:
        """What :meth:`answer` gives, before it has the images' size; samples need ``expressions`` alone."""
        self._check_expressions(data_samples)
        asked = [(b, text) for b, sample in enumerate(data_samples) for text in sample.expressions]
        found: list[list[Answers]] = [[] for _ in data_samples]
        for first in range(0, len(asked), self.max_expressions):
            part = [SegDataSample(metainfo=dict(expressions=[])) for _ in data_samples]
            for b, text in asked[first : first + self.max_expressions]:
                part[b].expressions.append(text)
            for kept, answers in zip(found, self._answer_part(seen, part), strict=True):
                kept.append(answers)
        return [Answers.cat(kept) for kept in found]

    def _answer_part(self, seen: SeenImages, data_samples: Sequence[SegDataSample]) -> list[Answers]:
        backbone = self.backbone
        rows, columns = seen.prefix.semantic.shape[2:]
        step = backbone.downsample * backbone.patch_size
        turns = [[self.prompt.branch([text]) for text in sample.expressions] for sample in data_samples]
        layout = backbone.layout(
            self.prompt.system, turns, image_size=(rows * step, columns * step), supervised=False
        )
        features = backbone.read_on(seen.prefix, layout)
        logits = self._mask_logits(features, seen.encoded)
        return self._answered(features, logits, data_samples, protocol=protocol_of("independent"))

    def _answered(
        self,
        features: MLLMFeatures,
        logits: Tensor,
        data_samples: Sequence[SegDataSample],
        *,
        protocol: Protocol,
    ) -> list[Answers]:
        queries = features.queries if features.first_queries is None else features.first_queries
        target_scores = self.backbone.target_scores(queries)
        rejected = self.backbone.says_rej(queries) if protocol.paper else features.rejected
        if rejected is None:
            rejected = target_scores < 0
        maps = logits.float().sigmoid()[:, 0]
        if protocol.generated:
            maps = maps.masked_fill(rejected[:, None, None], 0.0)
        # Split by counts that the CPU knows: a mask of bools would make it wait for the device.
        counts = [len(sample.expressions) for sample in data_samples]
        found = zip(maps.split(counts), target_scores.split(counts), rejected.split(counts), strict=True)
        return [Answers(maps=m, scores=s, rejected=r, protocol=protocol.says) for m, s, r in found]

    def _forward(self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None) -> Tensor:
        """Mask logits (N, 1, H, W) of all expressions in order."""
        return self.encode_decode(inputs, data_samples)

    def encode_decode(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
        """Mask logits (N, 1, H, W) of all expressions in order."""
        return self._mask_logits(self.extract_feat(inputs, data_samples))

    def extract_feat(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample], *, supervised: bool = False
    ) -> MLLMFeatures:
        """Features of B images and their N expressions.

        Args:
            inputs: (B, 3, H, W) float, normalised.
            data_samples: B samples with ``expressions``, and for supervision ``ann_ids``.
            supervised: Draw training prompts and compute the loss on the answers.
        """
        self._check_expressions(data_samples)
        vision = self.see(inputs)
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
        return replace(again, first_queries=features.queries)

    def _check_expressions(self, data_samples: Sequence[SegDataSample]) -> None:
        """Refuse what this model's tokenizer takes for a control token; datasets know the usual ones."""
        tokens = self.backbone.tokenizer.control_tokens if self.backbone.tokenizer else CONTROL_TOKENS
        for sample in data_samples:
            for text in sample.expressions:
                problem = expression_problem(text, control_tokens=tokens)
                if problem:
                    where = sample.get("img_path") or "an image"
                    raise DataError(
                        f"{where}: an expression {problem}: {text!r:.60}. Remove it or write an expression"
                    )

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
            groups = [range(n)] if self.protocol.joint and n else [[k] for k in range(n)]
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
        return self.backbone.layout(style.system, turns, image_size=_size(inputs), supervised=supervised)

    def _style(self, *, supervised: bool) -> PromptStyle:
        return prompt_style(PAPER_PROMPT) if self.protocol.paper and not supervised else self.prompt

    def _read_own_answers(
        self, vision: VisionFeatures, inputs: Tensor, data_samples: Sequence[SegDataSample]
    ) -> MLLMFeatures:
        """Features of answers that the model wrote; ``rejected`` where it wrote no [SEG]."""
        backbone = self.backbone
        questions = [[self.prompt.branch([text])[0] for text in s.expressions] for s in data_samples]
        size = _size(inputs)
        prefix_ids, asked = backbone.questions(self.prompt.system, questions, image_size=size)
        written = backbone.generate(
            vision,
            [[prefix_ids + question for question in image] for image in asked],
            image_size=size,
            max_new_tokens=[[MAX_NEW_TOKENS + len(question) for question in image] for image in asked],
        )
        branches, rejected = [], []
        for image_questions, image_answers in zip(asked, written, strict=True):
            branches.append([])
            for question, answer in zip(image_questions, image_answers, strict=True):
                ends = answer[-1:] in ([backbone.tokenizer.seg_id], [backbone.tokenizer.rej_id])
                ids = question + (answer[:-1] if ends else answer)
                branches[-1].append(Branch(ids=ids, slots=[len(ids)]))
                rejected.append(answer[-1:] != [backbone.tokenizer.seg_id])
        features = backbone.read(vision, backbone.pack(prefix_ids, branches, image_size=size))
        return replace(
            features, rejected=torch.tensor(rejected, dtype=torch.bool, device=features.queries.device)
        )

    def _mask_logits(self, features: MLLMFeatures, encoded: Tensor | None = None) -> Tensor:
        """(N, 1, H, W) of all expressions, decoded ``max_expressions`` at a time."""
        with self.backbone.autocast():
            if encoded is None:
                encoded = self.decode_head.encode(features.detail, features.semantic)
            asked = (features.queries, features.image_index)
            parts = zip(*(x.split(self.max_expressions) for x in asked), strict=True)
            return torch.cat([self.decode_head.decode(encoded, *part) for part in parts])


def _size(inputs: Tensor) -> tuple[int, int]:
    """Height and width of (B, 3, H, W) images."""
    height, width = inputs.shape[2:]
    return height, width


def _with_answers(data_samples: Sequence[SegDataSample], found: Sequence[Answers]) -> list[SegDataSample]:
    """Add ``pred_instances`` and ``protocol`` to the samples, as ``predict`` says."""
    for sample, answers in zip(data_samples, found, strict=True):
        sample.pred_instances = answers.at_size(sample.ori_shape)
        sample.set_metainfo(dict(protocol=answers.protocol))
    return list(data_samples)

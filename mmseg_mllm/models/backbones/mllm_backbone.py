"""A HuggingFace vision-language model as a feature extractor. Knows nothing of masks."""

import contextlib
import os
from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from mmseg_mllm.compat import cache_argument, enable_gradient_checkpointing
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import InputSize, height_width, input_size
from mmseg_mllm.models.backbones.adapters import (
    inject_lora,
    merge_adapters,
    merge_saved_adapter,
    output_rows,
    set_trainable,
)
from mmseg_mllm.models.backbones.branch_attention import use_branch_attention
from mmseg_mllm.models.backbones.chat_tokenizer import build_tokenizer
from mmseg_mllm.models.backbones.compute_dtype import compute_dtype
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.models.backbones.greedy import Asked, up_to_first, write_on
from mmseg_mllm.models.backbones.hf_model import build_hf_model, check_folder
from mmseg_mllm.models.backbones.quantization import check_quantization, quantize
from mmseg_mllm.models.backbones.sequence_layout import Branch, SequenceLayout, pack
from mmseg_mllm.models.features import MLLMFeatures, ReadPrefix, VisionFeatures
from mmseg_mllm.models.layers import to_map
from mmseg_mllm.weights import packaged


@MODELS.register_module()
class MLLMBackbone(BaseModule):
    """Vision features before the projector and LLM features at image and [SEG] tokens.

    Holds a native transformers model of one of ``families/`` (no remote code). Its weights come with
    construction: from ``pretrained``, or random from ``arch``; inside ``torch.device('meta')`` nothing is
    read from disk.

    Args:
        arch: transformers config of the model (``model_type``, ``vision_config``, ``text_config``). The
            vocabulary counts all special tokens.
        pretrained: Folder or hub name of a native transformers checkpoint, or one that comes with the package
            ('mmseg_mllm://NAME'); None for random weights.
        tokenizer: Folder or hub name, a registered function as ``dict(type=...)``, or None for that of
            ``pretrained``.
        adapter: Folder of an adapter in peft's format that is merged into the weights of ``pretrained``.
        lora: Arguments of ``peft.LoraConfig`` for the LLM's linears (``r``, ``lora_alpha``, ...), or None.
            The rows of [SEG] and [REJ] in embedding and LM head are trained with it.
        trainable: Other parts to train; see ``adapters.PARTS``. All else is frozen.
        dtype: 'float32', 'bfloat16', or 'auto': bfloat16 where the device is fast at it. Of the frozen
            weights and of the computation, the mask decoder's too. What is trained stays in float32.
        gradient_checkpointing: Recompute the LLM's and vision tower's layers in the backward pass.
        quantization: 'nf4' (4 bit) or 'int8' for the LLM's linears, by bitsandbytes; LoRA on top is QLoRA.
            All else stays in ``dtype``, on the meta device everything. They pass the host's memory whole.
        image_size: Side of the input in pixels or (height, width), if not that of ``arch``: multiples of what
            one image token stands for. The tower's position embeddings are then interpolated.

    Raises:
        CheckpointError: ``pretrained`` holds no such model.
        ConfigError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        arch: dict,
        pretrained: str | None = None,
        tokenizer: str | dict | None = None,
        adapter: str | None = None,
        lora: dict | None = None,
        trainable: Sequence[str] = (),
        dtype: str = "float32",
        gradient_checkpointing: bool = False,
        quantization: str | None = None,
        image_size: InputSize | None = None,
    ) -> None:
        super().__init__()
        self.base_name = pretrained  # whose frozen weights a checkpoint leaves out
        check_quantization(quantization)
        device = torch.get_default_device()
        if device.type == "meta":
            pretrained = quantization = None
        elif pretrained is not None:
            pretrained = packaged(os.path.expanduser(pretrained))
            check_folder(pretrained)
        self.quantization = quantization
        self.dtype = compute_dtype(dtype)
        self.family = family_of(arch.get("model_type"))
        self.tokenizer = build_tokenizer(tokenizer, pretrained, chat=self.family.chat)
        with torch.device("cpu" if quantization else device):
            self.model = build_hf_model(
                arch=arch,
                pretrained=pretrained,
                vocab_size=len(self.tokenizer) if self.tokenizer else None,
                dtype=self.dtype,
            )
        if adapter is not None and device.type != "meta":
            merge_saved_adapter(self.model, adapter)
        if quantization is not None:
            quantize(self.model, quantization, text_model=self.text_model, device=device, dtype=self.dtype)
        use_branch_attention(self.text_model)
        config = self.model.config
        self.patch_size = self.family.patch_size(config)
        self.downsample = self.family.downsample(config)
        self.image_size = input_size(image_size or self.family.image_size(config))
        self.family.check_image_size(self.image_size, config)
        self.out_channels = (config.vision_config.hidden_size, config.text_config.hidden_size)
        self.vocab_size = config.text_config.vocab_size
        self.model.requires_grad_(False)
        if lora is not None:
            inject_lora(self.model, lora, family=self.family, token_ids=list(self.answer_token_ids))
        set_trainable(self.model, trainable, family=self.family)
        if gradient_checkpointing:
            enable_gradient_checkpointing(self.model)

    @property
    def text_model(self) -> PreTrainedModel:
        """The language model without its LM head."""
        return self.model.model.get_submodule(self.family.text_model)

    @property
    def answer_token_ids(self) -> tuple[int, int]:
        """Ids of [SEG] and [REJ]; the vocabulary's last two where no tokenizer was loaded."""
        if self.tokenizer is None:
            return self.vocab_size - 2, self.vocab_size - 1
        return self.tokenizer.seg_id, self.tokenizer.rej_id

    def merge_adapters(self) -> None:
        """Put LoRA and the trained token rows into the weights, for good: less work for the same results."""
        merge_adapters(self.model)

    def init_weights(self) -> None:
        """Nothing: weights came with construction, and a random start would destroy pretrained ones."""
        self._is_init = True

    def token_grid(self, image_size: InputSize) -> tuple[int, int]:
        """Rows and columns of the tokens that an image of this size takes in the LLM."""
        return tuple(side // self.patch_size // self.downsample for side in height_width(image_size))

    def num_image_tokens(self, image_size: InputSize) -> int:
        """How many these are."""
        return prod(self.token_grid(image_size))

    def layout(
        self,
        system: str,
        turns: Sequence[Sequence[tuple[str, str]]],
        *,
        image_size: InputSize,
        supervised: bool,
    ) -> SequenceLayout:
        """Token layout of B images.

        Args:
            system: System message (``PromptStyle.system``).
            turns: Per image and branch the question and the answer (``PromptStyle.branch``).
            image_size: Of the input.
            supervised: Whether the answers are trained.

        Raises:
            ConfigError: the backbone was built without a tokenizer.
        """
        ids, prefix = self._prefix_ids(system, image_size), self.family.chat.prefix(system)
        texts = [[self.family.chat.branch(*turn) for turn in image] for image in turns]
        branches = [self.tokenizer.branches(prefix, image, supervised=supervised) for image in texts]
        return self.pack(ids, branches, image_size=image_size)

    def pack(
        self, prefix_ids: Sequence[int], branches: Sequence[Sequence[Branch]], *, image_size: InputSize
    ) -> SequenceLayout:
        """Layout of token ids: a prefix with an image of that size, and the branches of each of B images."""
        image_id, grid = self.tokenizer.image_id, self.token_grid(image_size)
        return pack(
            prefix=prefix_ids,
            branches=branches,
            image_token_id=image_id,
            image_grid=grid,
            positions=self.family.positions([token == image_id for token in prefix_ids], grid=grid),
            both_ways=self.family.both_ways,
        )

    def questions(
        self, system: str, questions: Sequence[Sequence[str]], *, image_size: InputSize
    ) -> tuple[list[int], list[list[list[int]]]]:
        """Token ids of the prefix, and per image of the questions that follow it, as for :meth:`layout`."""
        ids, chat = self._prefix_ids(system, image_size), self.family.chat
        texts = [[chat.branch(question, "")[0] for question in image] for image in questions]
        return ids, [self.tokenizer.questions(chat.prefix(system), image) for image in texts]

    def _prefix_ids(self, system: str, image_size: InputSize) -> list[int]:
        if self.tokenizer is None:
            raise ConfigError(
                "the backbone has no tokenizer: set `pretrained` to a folder with one, or `tokenizer`"
            )
        prefix = self.family.chat.prefix(system)
        return self.tokenizer.prefix_ids(prefix, num_image_tokens=self.num_image_tokens(image_size))

    def autocast(self) -> contextlib.AbstractContextManager:
        """Mixed precision of ``dtype`` on the model's device; nothing for float32."""
        if self.dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.model.device.type, dtype=self.dtype)

    def forward(self, images: Tensor, layout: SequenceLayout) -> MLLMFeatures:
        """Run the vision tower once per image and the LLM once over all sequences.

        Args:
            images: (B, 3, H, W) float, normalised.
            layout: Sequences of the same B images.
        """
        return self.read(self.see(images), layout)

    def see(self, images: Tensor) -> VisionFeatures:
        """The vision tower's part: (B, 3, H, W) float, normalised."""
        parts = self.family.modules(self.model, (*self.family.vision, *self.family.projector))
        trained = any(p.requires_grad for part in parts for p in part.parameters())
        # A frozen tower needs no graph, and recomputing layers would make one.
        with self.autocast(), torch.set_grad_enabled(trained and torch.is_grad_enabled()):
            return self.family.see(self.model, images)

    def read(self, vision: VisionFeatures, layout: SequenceLayout) -> MLLMFeatures:
        """The LLM's part, for images seen before."""
        layout = layout.to(vision.detail.device)
        hidden = self.hidden_states(vision, layout)
        return MLLMFeatures(
            detail=vision.detail,
            semantic=to_map(hidden[layout.image_reads], layout.image_grid),
            queries=hidden[layout.slot_reads],
            image_index=layout.slot_images,
            loss_text=self._text_loss(hidden, layout),
        )

    def hidden_states(self, vision: VisionFeatures, layout: SequenceLayout) -> Tensor:
        """The LLM's output (L, C_l) at every token of a layout on the same device."""
        with self.autocast():
            return self._read(layout, vision)

    def answer_logits(self, hidden: Tensor, layout: SequenceLayout) -> Tensor:
        """What the model would say at each supervised token: (M, vocabulary) float32 logits.

        Args:
            hidden: (L, C_l) of :meth:`hidden_states`.
            layout: The same; the LM head sees its supervised positions only.
        """
        with self.autocast():
            return self.model.lm_head(hidden[layout.answer_reads]).float()

    @torch.no_grad()
    def read_prefix(self, vision: VisionFeatures, system: str, *, image_size: InputSize) -> ReadPrefix:
        """Read the words up to the image, as for :meth:`layout`, and keep what questions need of them."""
        ids, no_branches = self._prefix_ids(system, image_size), [[]] * len(vision.detail)
        layout = self.pack(ids, no_branches, image_size=image_size).to(vision.detail.device)
        cache = DynamicCache()
        with self.autocast():
            hidden = self._read(layout, vision, cache=cache)
            semantic = to_map(hidden[layout.image_reads], layout.image_grid)
        kept = tuple((layer.keys, layer.values) for layer in cache.layers)
        return ReadPrefix(detail=vision.detail, semantic=semantic, keys_values=kept)

    @torch.no_grad()
    def read_on(self, prefix: ReadPrefix, layout: SequenceLayout) -> MLLMFeatures:
        """The same as :meth:`read` for the price of the branches alone.

        Args:
            prefix: What :meth:`read_prefix` kept of the same B images and the same words.
            layout: Whole sequences; their prefixes are not read again.
        """
        layout = layout.to(prefix.detail.device)
        cache = DynamicCache()
        for i, (keys, values) in enumerate(prefix.keys_values):
            cache.update(keys, values, i)  # copies, so that the prefix stays as it is
        start = layout.grid.start
        with self.autocast():
            embeds = self.model.get_input_embeddings()(layout.input_ids[None, start:])
            hidden = self._language_model(embeds, layout, first=start, cache=cache)
        return MLLMFeatures(
            detail=prefix.detail,
            semantic=prefix.semantic,
            queries=hidden[layout.slot_reads - start],
            image_index=layout.slot_images,
        )

    @torch.no_grad()
    def generate(
        self,
        vision: VisionFeatures,
        questions: Sequence[Sequence[Sequence[int]]],
        *,
        image_size: InputSize,
        max_new_tokens: Sequence[Sequence[int]],
    ) -> list[list[list[int]]]:
        """Answers that the model writes by itself, greedily, up to the first [SEG] or [REJ].

        Args:
            vision: Of B images.
            questions: Per image the token ids of its questions, each with the prefix before it.
            image_size: Of the images.
            max_new_tokens: Per image and question, where its answer ends at the latest.

        Returns:
            Per image and question the ids of the answer; its last is [SEG] or [REJ], or there is none.
        """
        ends = [*self.answer_token_ids, self.tokenizer.turn_end_id]
        answers = []
        for b, (asked, limits) in enumerate(zip(questions, max_new_tokens, strict=True)):
            if not asked:
                answers.append([])
                continue
            with self.autocast():
                written = write_on(
                    self._asked(vision.of_image(b, times=len(asked)), asked, self.token_grid(image_size)),
                    text_model=self.text_model,
                    lm_head=self.model.lm_head,
                    position_argument=self.family.position_argument,
                    ends=ends,
                    max_new_tokens=max(limits),
                )
            # They are written together, and each is the same as if it had been written alone.
            cut = [ids[:limit] for ids, limit in zip(written.tolist(), limits, strict=True)]
            answers.append([up_to_first(ids, ends) for ids in cut])
        return answers

    def _asked(self, vision: VisionFeatures, questions: Sequence[Sequence[int]], grid: tuple) -> Asked:
        """K questions, each with the prefix before it, and the image K times."""
        image_id, pad = self.tokenizer.image_id, self.tokenizer.turn_end_id
        length, device = max(map(len, questions)), vision.image_tokens.device
        spare = [length - len(ids) for ids in questions]
        padded = [[pad] * n + list(q) for n, q in zip(spare, questions, strict=True)]
        ids = torch.tensor(padded, device=device)
        rows = [self.family.positions([token == image_id for token in q], grid=grid) for q in questions]
        positions = [[[0] * n + row for row in own] for n, own in zip(spare, rows, strict=True)]
        embeds = self.model.get_input_embeddings()(ids)
        at_image = ids == image_id
        embeds = embeds.masked_scatter(at_image[..., None], vision.image_tokens.to(embeds.dtype))
        mask = torch.arange(length, device=device) >= torch.tensor(spare, device=device)[:, None]
        return Asked(
            embeds=embeds,
            mask=mask,
            text_mask=self.family.text_mask(self.model, embeds=embeds, mask=mask, at_image=at_image),
            positions=torch.tensor(positions, device=device).transpose(0, 1),
            arguments=self.family.vision_arguments(at_image, vision),
        )

    def _read(
        self, layout: SequenceLayout, vision: VisionFeatures, *, cache: DynamicCache | None = None
    ) -> Tensor:
        """Run the whole row, with the image tokens in their places -> (L, C_l)."""
        embeds = self.model.get_input_embeddings()(layout.input_ids)
        places, tokens = layout.image_positions.flatten(), vision.image_tokens.flatten(0, 1)
        embeds = embeds.index_copy(0, places, tokens.to(embeds.dtype))[None]
        at_image = torch.zeros_like(layout.input_ids, dtype=torch.bool).index_fill(0, places, True)
        arguments = self.family.vision_arguments(at_image[None], vision)
        return self._language_model(embeds, layout, cache=cache, **arguments)

    def _language_model(
        self,
        embeds: Tensor,
        layout: SequenceLayout,
        *,
        first: int = 0,
        cache: DynamicCache | None = None,
        **arguments,
    ) -> Tensor:
        """Run positions ``first`` and after -> (L - first, C_l); the cache holds those before."""
        return self.text_model(
            inputs_embeds=embeds,
            attention_mask=layout.grid.mask(),
            position_ids=self.family.position_argument(layout.position_ids[:, None, first:]),
            use_cache=cache is not None,
            grid=layout.grid,
            **cache_argument(self.text_model, cache),
            **arguments,
        ).last_hidden_state[0]

    @torch.no_grad()
    def target_scores(self, queries: Tensor) -> Tensor:
        """(N, C_l) queries -> (N,) float32 log p([SEG]) - log p([REJ]): above 0 the model sees a target."""
        with self.autocast():
            seg, rej = F.linear(queries, output_rows(self.model, self.answer_token_ids)).float().unbind(1)
        return seg - rej

    @torch.no_grad()
    def says_rej(self, queries: Tensor) -> Tensor:
        """(N, C_l) queries -> (N,) bool, the likeliest next token of the whole vocabulary is [REJ]."""
        with self.autocast():
            return self.model.lm_head(queries).float().argmax(dim=1) == self.answer_token_ids[1]

    def _text_loss(self, hidden: Tensor, layout: SequenceLayout) -> Tensor | None:
        """Cross-entropy on the answer tokens of the row (L, C_l)."""
        if not len(layout.answer_ids):
            return None
        losses = F.cross_entropy(self.answer_logits(hidden, layout), layout.answer_ids, reduction="none")
        return (losses * layout.answer_weights).sum()

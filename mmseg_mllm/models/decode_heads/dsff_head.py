"""The mask decoder: a fused feature map and query vectors in; a mask per query, or logits per class, out."""

import functools
import os
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_mllm.compat import pixel_shuffle
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.models.decode_heads.input_checks import check_arguments, check_labels, check_maps
from mmseg_mllm.models.layers import (
    DecoderBlock,
    FeatureFusion,
    pooled_tokens,
    resize_concat,
    to_map,
    to_tokens,
)
from mmseg_mllm.models.model_folder import read_tensors

CHECKPOINTED = 8
"""Queries from outside that pass together with ``with_cp``: bounds what is computed again at a time."""
MASK_DEFAULTS = dict(
    num_classes=1,
    threshold=0.5,
    dropout_ratio=0,
    init_cfg=None,
    loss_decode=(
        dict(type="CrossEntropyLoss", use_sigmoid=True, loss_name="loss_bce"),
        dict(type="DiceLoss", naive_dice=True, eps=1.0, ignore_index=None, loss_name="loss_dice"),
    ),
)
"""Arguments of ``BaseDecodeHead`` for queries from outside; for classes its own defaults hold."""


@MODELS.register_module()
class DSFFHead(BaseDecodeHead):
    """DSFF mask decoder of MLLMSeg (Fig. 3, Eq. 5 to 13, arXiv 2508.04107).

    It has two uses. With ``num_classes`` it is the decode head of an ordinary ``EncoderDecoder``: it picks
    detail maps and a semantic map from the backbone's outputs by ``in_index``, owns one learned query per
    class, and gives the classes' logits at the detail map's size. All queries are the memory of one
    cross-attention, so that many classes cost little more than few. Losses, sampler, resizing and prediction
    are those of mmseg's ``BaseDecodeHead``.

    Without ``num_classes`` the queries come from outside, from the LLM of a referring segmentor, and each
    gives a mask: ``encode`` depends on the image only, ``decode`` on the expressions.

    Args:
        in_channels: Widths of the detail maps, and last of the semantic map.
        channels: Width C inside the head.
        num_classes: Number of classes; None for queries from outside.
        mask_scale: Ratio of the masks' sides to the detail map's (a ViT's patch size: masks at input size).
            Of queries from outside only.
        semantic_scale: Factor of one DySample step; see ``FeatureFusion`` for maps of other ratios.
        fusion: 'dsff', 'concat', 'detail' or 'semantic'.
        num_heads, feedforward_channels, dropout: Of both attention blocks. ``feedforward_channels`` is
            ``channels`` by default. ``dropout`` is 0 by default for classes, where ``dropout_ratio`` drops
            channels before the classifier, and 0.1 for queries from outside. On CPUs attention with dropout
            keeps the weights of all pairs of pixels in training.
        key_reduction: Side of the squares of detail pixels whose mean is one key of self-attention. Its work
            falls by the square; all pixels still ask. 1, the default, keeps every pixel; take 2 or 4 for
            detail maps of more than about 10,000 pixels.
        num_convs: For classes, number of 3 x 3 convolutions, each with norm and activation, before the
            classifier. Two, the default as in ``FCNHead``, matter most where the backbone itself sees little
            of the neighbourhood.
        with_cp: Compute again in the backward pass what would be kept of each pixel otherwise: for classes
            both attention blocks, for queries from outside what each of them adds, some at a time.
        norm_cfg: Norm after each last 3 x 3 convolution. Batch norm's running statistics follow the masks of
            a fast learner too slowly; from scratch at a high learning rate take ``dict(type='GN', ...)``.
        in_index: Which backbone outputs are the detail maps, finest first, and last the semantic map. Several
            detail maps are put beside one another at the size of the first.
        compiled: In evaluation, run :meth:`encode` and :meth:`decode` through ``torch.compile``: the same
            masks, after a minute of compiling. On a CPU it needs a C++ compiler.
        pretrained: Safetensors file with all of the head's weights, such as a model folder's
            ``decode_head.safetensors``; not read inside ``torch.device('meta')``.
        kwargs: As for ``mmseg``'s ``BaseDecodeHead``, with its defaults. For queries from outside
            ``loss_decode`` is the paper's BCE + DICE with weight 1 (Eq. 14, 15).

    Raises:
        ConfigError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int = 1024,
        num_classes: int | None = None,
        mask_scale: int = 14,
        semantic_scale: int = 2,
        fusion: str = "dsff",
        num_heads: int = 8,
        feedforward_channels: int | None = None,
        dropout: float | None = None,
        key_reduction: int = 1,
        num_convs: int = 2,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        in_index: Sequence[int] = (0, 1),
        compiled: bool = False,
        pretrained: str | None = None,
        **kwargs,
    ) -> None:
        check_arguments(
            in_channels=in_channels, in_index=in_index, key_reduction=key_reduction, num_convs=num_convs
        )
        for_classes = num_classes is not None
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            norm_cfg=norm_cfg or dict(type="BN"),
            in_index=list(in_index),
            input_transform="multiple_select",
            **{**(dict(num_classes=num_classes) if for_classes else MASK_DEFAULTS), **kwargs},
        )
        *detail_channels, semantic_channels = in_channels
        detail_channels = sum(detail_channels)
        self.fusion_mode = fusion
        self.key_reduction = key_reduction
        self.with_cp = with_cp
        self.compiled = compiled
        if dropout is None:
            dropout = 0.0 if for_classes else 0.1
        attention = dict(
            num_heads=num_heads, feedforward_channels=feedforward_channels or channels, dropout=dropout
        )
        as_it_is = detail_channels == channels or fusion == "semantic"
        self.detail_proj = nn.Identity() if as_it_is else nn.Conv2d(detail_channels, channels, 1)
        if fusion != "detail":
            self.semantic_proj = nn.Linear(semantic_channels, channels)
        if not for_classes:
            self.query_proj = nn.Linear(semantic_channels, channels)
        self.fusion = FeatureFusion(
            channels=channels,
            mode=fusion,
            scale=semantic_scale,
            key_reduction=key_reduction,
            align_corners=self.align_corners,
            **attention,
        )
        self.decoder = DecoderBlock(channels=channels, **attention)
        if for_classes:
            self.class_queries = nn.Embedding(num_classes, channels)
            layer = dict(kernel_size=3, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
            self.convs = nn.Sequential(*(ConvModule(channels, channels, **layer) for _ in range(num_convs)))
        else:
            self._init_mask_layers(mask_scale)
        if pretrained is not None and torch.get_default_device().type != "meta":
            self._load(os.path.expanduser(pretrained))

    def _init_mask_layers(self, mask_scale: int) -> None:
        del self.conv_seg  # the masks come from the convolutions below
        self.mask_conv = nn.Conv2d(self.channels, mask_scale**2, kernel_size=3, padding=1)
        self.mask_norm = build_norm_layer(self.norm_cfg, mask_scale**2)[1]
        self.mask_scale = mask_scale
        self.mask_out = nn.Conv2d(1, 1, kernel_size=5, padding=2)
        self._start_as_background()

    def _load(self, path: str) -> None:
        tensors = read_tensors(path)
        try:
            check_state_dict(self, tensors, "")
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        self.load_state_dict(tensors)

    @torch.no_grad()
    def _start_as_background(self) -> None:
        """Let the last convolution pass its input on, and masks start nearly empty.

        It has 26 parameters between the features and the masks. From the usual random start an optimiser
        with a bounded step needs thousands of iterations before its logits can be large: until then a little
        foreground everywhere outweighs the edges in the losses.
        """
        self.mask_out.weight.mul_(0.1)
        self.mask_out.weight[0, 0, 2, 2] += 6
        self.mask_out.bias.fill_(-6)

    def encode(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """What depends on the image only: the fusion, and the half of the decoder that sees no query.

        Args:
            detail: (B, C_v, H, W).
            semantic: (B, C_l, h, w).

        Returns:
            (B, C, H, W).
        """
        return self._run(DSFFHead._encode, detail, semantic)

    def _run(self, part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        # By the class's function and not the head's own: a head may be copied.
        return (_compiled(part) if self.compiled and not self.training else part)(self, *inputs)

    def _encode(self, detail: Tensor, semantic: Tensor) -> Tensor:
        if self.fusion_mode == "detail":
            projected = None
        else:
            projected = self.semantic_proj(semantic.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        # In the memory format of tokens: every layer that follows would copy it otherwise.
        detail = self.detail_proj(detail).contiguous(memory_format=torch.channels_last)
        fused = self.fusion(detail, projected)
        keys = pooled_tokens(fused, self.key_reduction) if self.key_reduction > 1 else None
        return to_map(self.decoder.attend_self(to_tokens(fused), keys=keys), fused.shape[2:])

    def decode(self, encoded: Tensor, queries: Tensor, image_index: Tensor) -> Tensor:
        """One mask per query (Eq. 7, 8).

        Args:
            encoded: (B, C, H, W) from :meth:`encode`.
            queries: (N, C_l).
            image_index: (N,) int64, the image each query asks about.

        Returns:
            (N, 1, mask_scale * H, mask_scale * W) mask logits.
        """
        return self._run(DSFFHead._decode, encoded, queries, image_index)

    def _decode(self, encoded: Tensor, queries: Tensor, image_index: Tensor) -> Tensor:
        if self.with_cp and self.training and torch.is_grad_enabled():
            parts = zip(queries.split(CHECKPOINTED), image_index.split(CHECKPOINTED), strict=True)
            cells = [checkpoint(self._cells, encoded, *part, use_reentrant=False) for part in parts]
            cells = torch.cat(cells)
        else:
            cells = self._cells(encoded, queries, image_index)
        # The norm sees all masks of the batch together.
        cells = F.relu(self.mask_norm(cells))
        masks = pixel_shuffle(cells, self.mask_scale)
        if masks.device.type == "cpu":
            # One channel lies the same in both formats; called channels-last it is convolved much faster.
            masks = masks.to(memory_format=torch.channels_last)
        return self.mask_out(masks)

    def _cells(self, encoded: Tensor, queries: Tensor, image_index: Tensor) -> Tensor:
        """(N, mask_scale^2, H, W), each pixel's square of the mask."""
        tokens = encoded.flatten(2).transpose(1, 2)
        tokens = self.decoder.attend_vectors(tokens, self.query_proj(queries), image_index)
        feature_map = tokens.transpose(1, 2).unflatten(2, encoded.shape[2:])
        # In the weights' dtype under autocast, too: SyncBatchNorm gathers float32 statistics from processes
        # with masks, and those of the input's dtype from processes without any.
        return self.mask_conv(feature_map).to(self.mask_conv.weight.dtype)

    def mask_loss(self, logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Losses of N masks; zero, with a graph, where there is none.

        Args:
            logits: (N, 1, H, W) from :meth:`decode`.
            masks: (N, H', W') bool; the logits are resized to them if their size differs.
        """
        modules = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        logits = logits.float()
        if not len(logits):
            return {loss.loss_name: logits.sum() for loss in modules}
        if logits.shape[2:] != masks.shape[1:]:
            logits = F.interpolate(logits, size=masks.shape[1:], mode="bilinear", align_corners=False)
        return {loss.loss_name: loss(logits[:, 0], masks.float()) for loss in modules}

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Class logits of an ordinary segmentor.

        Args:
            inputs: Feature maps (B, C_i, H_i, W_i) of the backbone.

        Returns:
            (B, out_channels, H, W), as large as the detail map.

        Raises:
            ConfigError: the maps are not those that the head was built for, or it has no classes.
        """
        if not hasattr(self, "class_queries"):
            raise ConfigError(
                "this DSFFHead takes its queries from outside: set num_classes for an ordinary segmentor"
            )
        check_maps(inputs, in_index=self.in_index, in_channels=self.in_channels)
        *details, semantic = self._transform_inputs(inputs)
        size = details[0].shape[2:]
        maps = resize_concat(details, size=size, align_corners=self.align_corners), semantic
        if self.with_cp and torch.is_grad_enabled():
            feature_map = checkpoint(self._asked_for_classes, *maps, use_reentrant=False)
        else:
            feature_map = self._asked_for_classes(*maps)
        return self.cls_seg(self.convs(feature_map))

    def _asked_for_classes(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """(B, C_v, H, W) and (B, C_l, h, w) -> (B, C, H, W), all class queries attended to at once."""
        encoded = self.encode(detail, semantic)
        queries = self.class_queries.weight.expand(len(encoded), -1, -1)
        tokens = self.decoder.attend_memory(to_tokens(encoded), queries)
        return to_map(tokens, encoded.shape[2:])

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Sequence[SegDataSample]) -> dict:
        """As in mmseg, with a plain error for labels that are no class.

        Raises:
            ConfigError: a label is neither a class nor ``ignore_index``.
        """
        labels = self._stack_batch_gt(batch_data_samples)
        check_labels(labels, num_classes=self.num_classes, ignore_index=self.ignore_index)
        return super().loss_by_feat(seg_logits, batch_data_samples)


@functools.cache
def _compiled(part: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compiled once for all numbers of expressions."""
    return torch.compile(part, dynamic=True)

"""The mask decoder: a fused feature map and query vectors in, one mask per query out."""

import os
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_mllm.compat import pixel_shuffle
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.checkpoints import check_state_dict
from mmseg_mllm.models.layers import DecoderBlock, FeatureFusion
from mmseg_mllm.models.model_folder import read_tensors


@MODELS.register_module()
class DSFFHead(BaseDecodeHead):
    """DSFF mask decoder of MLLMSeg (Fig. 3, Eq. 5 to 13, arXiv 2508.04107).

    ``encode`` depends on the image only, ``decode`` on the expressions. In a referring segmentor the
    queries come from the LLM. In an ordinary ``EncoderDecoder`` the head owns one learned query per class
    and picks the detail and the semantic map from the backbone's outputs by ``in_index``.

    Args:
        in_channels: Widths of the detail and the semantic map.
        channels: Width C inside the head.
        mask_scale: Ratio of the masks' sides to the detail map's (a ViT's patch size: masks at input size).
        semantic_scale: Ratio of the detail map's sides to the semantic map's.
        num_classes: Number of learned class queries; 1 (the default) makes none, for queries from outside.
        fusion: 'dsff', 'concat', 'detail' or 'semantic'.
        num_heads, feedforward_channels, dropout: Of both attention blocks; ``feedforward_channels`` is
            ``channels`` by default.
        norm_cfg: Norm after the mask convolution. Batch norm's running statistics follow the masks of a
            fast learner too slowly; from scratch at a high learning rate take ``dict(type='GN', ...)``.
        loss_decode: Losses on mask logits; the paper's BCE + DICE with weight 1 by default (Eq. 14, 15).
        in_index: Which backbone outputs are the detail and the semantic map.
        pretrained: Safetensors file with all of the head's weights, such as a model folder's
            ``decode_head.safetensors``; not read inside ``torch.device('meta')``.
        kwargs: As for ``mmseg``'s ``BaseDecodeHead``.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int = 1024,
        mask_scale: int = 14,
        semantic_scale: int = 2,
        num_classes: int = 1,
        fusion: str = "dsff",
        num_heads: int = 8,
        feedforward_channels: int | None = None,
        dropout: float = 0.1,
        norm_cfg: dict | None = None,
        loss_decode: dict | Sequence[dict] = (
            dict(type="CrossEntropyLoss", use_sigmoid=True, loss_name="loss_bce"),
            dict(type="DiceLoss", naive_dice=True, eps=1.0, ignore_index=None, loss_name="loss_dice"),
        ),
        in_index: Sequence[int] = (0, 1),
        pretrained: str | None = None,
        **kwargs,
    ) -> None:
        kwargs.setdefault("threshold", 0.5 if num_classes == 1 else None)
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=0,
            norm_cfg=norm_cfg or dict(type="BN"),
            loss_decode=loss_decode,
            in_index=list(in_index),
            input_transform="multiple_select",
            init_cfg=None,
            **kwargs,
        )
        del self.conv_seg  # the masks come from the convolutions below
        detail_channels, semantic_channels = in_channels
        self.fusion_mode = fusion
        attention = dict(
            num_heads=num_heads, feedforward_channels=feedforward_channels or channels, dropout=dropout
        )
        as_it_is = detail_channels == channels or fusion == "semantic"
        self.detail_proj = nn.Identity() if as_it_is else nn.Conv2d(detail_channels, channels, 1)
        if fusion != "detail":
            self.semantic_proj = nn.Linear(semantic_channels, channels)
        self.query_proj = nn.Linear(semantic_channels, channels)
        self.fusion = FeatureFusion(channels=channels, mode=fusion, scale=semantic_scale, **attention)
        self.decoder = DecoderBlock(channels=channels, **attention)
        self.mask_conv = nn.Conv2d(channels, mask_scale**2, kernel_size=3, padding=1)
        self.mask_norm = build_norm_layer(self.norm_cfg, mask_scale**2)[1]
        self.mask_scale = mask_scale
        self.mask_out = nn.Conv2d(1, 1, kernel_size=5, padding=2)
        self._start_as_background()
        if num_classes > 1:
            self.class_queries = nn.Embedding(num_classes, semantic_channels)
        if pretrained is not None and torch.get_default_device().type != "meta":
            self._load(os.path.expanduser(pretrained))

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
        with a bounded step needs thousands of iterations before its logits can be large.
        """
        self.mask_out.weight.mul_(0.1)
        self.mask_out.weight[0, 0, 2, 2] += 3
        self.mask_out.bias.fill_(-3)

    def encode(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """What depends on the image only: the fusion, and the half of the decoder that sees no query.

        Args:
            detail: (B, C_v, H, W).
            semantic: (B, C_l, h, w).

        Returns:
            (B, C, H, W).
        """
        if self.fusion_mode == "detail":
            projected = None
        else:
            projected = self.semantic_proj(semantic.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        fused = self.fusion(self.detail_proj(detail), projected)
        tokens = self.decoder.attend_self(fused.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).unflatten(2, fused.shape[2:])

    def decode(self, encoded: Tensor, queries: Tensor, image_index: Tensor) -> Tensor:
        """One mask per query (Eq. 7, 8).

        Args:
            encoded: (B, C, H, W) from :meth:`encode`.
            queries: (N, C_l).
            image_index: (N,) int64, the image each query asks about.

        Returns:
            (N, 1, mask_scale * H, mask_scale * W) mask logits.
        """
        tokens = encoded.flatten(2).transpose(1, 2)
        tokens = self.decoder.attend_vectors(tokens, self.query_proj(queries), image_index)
        feature_map = tokens.transpose(1, 2).unflatten(2, encoded.shape[2:])
        # At least float32: SyncBatchNorm gathers float32 statistics from processes with masks, and those of
        # the input's dtype from processes without any.
        cells = self.mask_conv(feature_map)
        cells = F.relu(self.mask_norm(cells.to(torch.promote_types(cells.dtype, torch.float32))))
        return self.mask_out(pixel_shuffle(cells, self.mask_scale))

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
            (B, num_classes, mask_scale * H, mask_scale * W).

        Raises:
            ConfigError: the head has no class queries.
        """
        if self.num_classes == 1:
            raise ConfigError(
                "this DSFFHead owns no queries: set num_classes to the number of classes, 2 or more"
            )
        detail, semantic = self._transform_inputs(inputs)
        n_images, n_classes = len(detail), self.num_classes
        image_index = torch.arange(n_images, device=detail.device).repeat_interleave(n_classes)
        queries = self.class_queries.weight.repeat(n_images, 1)
        logits = self.decode(self.encode(detail, semantic), queries, image_index)
        return logits.view(n_images, n_classes, *logits.shape[2:])

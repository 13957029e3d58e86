"""The mask decoder as MLLMSeg's code runs it: all of it for each expression, in PyTorch's decoder layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_mllm.models.decode_heads import DSFFHead
from mmseg_mllm.models.layers import DecoderBlock


class PlainHead:
    """Shares the weights of a ``DSFFHead`` with ``fusion='dsff'``, in evaluation mode.

    Args:
        head: On its device.
    """

    def __init__(self, head: DSFFHead) -> None:
        self._head = head
        self._fuse = plain_block(head.fusion.cross_attention)
        self._ask = plain_block(head.decoder)

    @torch.no_grad()
    def __call__(self, detail: Tensor, semantic: Tensor, queries: Tensor) -> Tensor:
        """detail (B, C_v, H, W), semantic (B, C_l, h, w), a query each (B, C_l) -> (B, 1, H', W') logits."""
        head, size = self._head, detail.shape[2:]
        detail = head.detail_proj(detail).flatten(2).mT
        semantic_tokens = head.semantic_proj(semantic.flatten(2).mT)
        semantic = semantic_tokens.mT.unflatten(2, semantic.shape[2:])
        upsampled = head.fusion.upsample(semantic).flatten(2).mT
        attended = self._fuse(detail, semantic_tokens)
        fused = head.fusion.proj(torch.cat([attended, detail, upsampled], dim=2))
        tokens = self._ask(fused, head.query_proj(queries).unsqueeze(1))
        cells = head.mask_conv(tokens.mT.unflatten(2, size))
        return head.mask_out(F.pixel_shuffle(F.relu(head.mask_norm(cells)), head.mask_scale))


def plain_block(block: DecoderBlock) -> nn.TransformerDecoder:
    """``torch.nn.TransformerDecoder`` with the weights of a block, in evaluation mode."""
    channels, hidden = block.linear1.in_features, block.linear1.out_features
    with torch.device("meta"):
        layer = nn.TransformerDecoderLayer(channels, block.self_attn.num_heads, hidden, batch_first=True)
        decoder = nn.TransformerDecoder(layer, num_layers=1, norm=nn.LayerNorm(channels))
    state = {torch_name(name): tensor for name, tensor in block.state_dict().items()}
    decoder.load_state_dict(state, assign=True)
    return decoder.eval()


def torch_name(name: str) -> str:
    """Name of a ``DecoderBlock``'s tensor in ``torch.nn.TransformerDecoder``."""
    module, rest = name.split(".", 1)
    renamed = dict(cross_attn="layers.0.multihead_attn", final_norm="norm")
    return f"{renamed.get(module, f'layers.0.{module}')}.{rest}"

"""What the mask decoder computes on its way, by the names of the reference sets."""

import contextlib
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from mmseg_mllm.models.decode_heads import DSFFHead


@contextlib.contextmanager
def head_taps(head: DSFFHead) -> Iterator[dict[str, Tensor]]:
    """Record what the next ``encode`` and ``decode`` of one image and N queries compute.

    Yields:
        Filled while the head runs: tokens are (tokens, channels), maps (channels, height, width); what
        depends on the queries has a first axis N.
    """
    seen: dict[str, Tensor] = {}

    def on_output(name: str, module: str, shape) -> None:
        taps.append(
            head.get_submodule(module).register_forward_hook(
                lambda _, inputs, output: seen.update({name: shape(output)})
            )
        )

    def on_input(name: str, module: str, shape) -> None:
        taps.append(
            head.get_submodule(module).register_forward_pre_hook(
                lambda _, inputs: seen.update({name: shape(inputs[0])})
            )
        )

    taps = []
    on_output("img_llm_down", "semantic_proj", lambda t: t[0].flatten(0, 1))
    on_output("text_down", "query_proj", lambda t: t)
    on_output("ca_layer_v2l", "fusion.cross_attention", lambda t: t[0])
    on_output("dysample", "fusion.upsample", lambda t: t[0])
    on_output("text_out_adapter", "fusion.proj", lambda t: t[0])
    on_input("ca_layer_vl_all", "mask_conv", lambda t: t.flatten(2).mT)
    on_output("conv1", "mask_norm", F.relu)
    on_input("conv1_pixel_shuffle", "mask_out", lambda t: t[:, 0])
    on_output("mask_logits", "mask_out", lambda t: t[:, 0])
    try:
        yield seen
    finally:
        for tap in taps:
            tap.remove()

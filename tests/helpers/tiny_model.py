"""A tiny segmentor with random weights large enough to matter, and samples for it."""

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample

IMAGE_SIZE = 32


def tiny_config(**backbone) -> dict:
    """Config of a segmentor for 32 px images with 16 vision and 4 LLM image tokens."""
    return dict(
        type="MLLMSegmentor",
        prompt="mllmseg",
        backbone=dict(
            type="MLLMBackbone",
            tokenizer=dict(type="build_tiny_tokenizer"),
            arch=dict(
                model_type="internvl",
                downsample_ratio=0.5,
                tie_word_embeddings=False,
                vision_config=dict(
                    hidden_size=24,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    intermediate_size=32,
                    attention_bias=True,
                    image_size=IMAGE_SIZE,
                    patch_size=8,
                    initializer_range=0.3,
                    layer_scale_init_value=1.0,
                ),
                text_config=dict(
                    model_type="qwen2",
                    hidden_size=32,
                    num_hidden_layers=2,
                    num_attention_heads=4,
                    num_key_value_heads=2,
                    intermediate_size=48,
                    vocab_size=1024,
                    initializer_range=0.3,
                    tie_word_embeddings=False,
                ),
            ),
            **backbone,
        ),
        decode_head=dict(type="DSFFHead", channels=24, num_heads=2),
    )


def make_samples(
    expressions: Sequence[Sequence[str]],
    *,
    has_target: Sequence[Sequence[bool]] | None = None,
    first_image: int = 0,
    image_size: int | tuple[int, int] = IMAGE_SIZE,
) -> list[SegDataSample]:
    """Samples with random masks at input size, the same for the same (image, expression)."""
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    samples = []
    for b, texts in enumerate(expressions):
        targets = has_target[b] if has_target else [True] * len(texts)
        sample = SegDataSample(
            metainfo=dict(
                expressions=list(texts),
                ann_ids=[(k + 1,) if target else () for k, target in enumerate(targets)],
                ori_shape=(20 + b, 30),
            )
        )
        masks = []
        for text in texts:
            generator = torch.Generator().manual_seed(len(text) + 100 * (first_image + b))
            masks.append(torch.rand(*size, generator=generator) > 0.5)
        sample.gt_instances = InstanceData(masks=torch.stack(masks) if masks else torch.zeros(0, *size))
        samples.append(sample)
    return samples

"""A training step."""

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.model_modes import SEEN, probabilities
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.segmentors.protocols import protocol_of

LOGIT_BYTES = 4
"""The loss takes logits in float32."""


def training(config: Config, setting: Setting) -> Benchmark:
    """Forward, backward and optimiser on what the config trains; each expression alone, and all jointly."""
    segmentor = build_random(config.model, setting, merged=False)
    optimizer = _optimizer(segmentor, config)
    size = segmentor.backbone.image_size
    images = random_images(size, setting)
    samples = samples_of(expression_texts(setting.expressions), setting, mask_size=size)

    def way(protocol: str) -> Way:
        def step() -> None:
            segmentor.train()
            segmentor.protocol = protocol_of(protocol)
            total, _ = segmentor.parse_losses(segmentor.loss(images, samples))
            optimizer.update_params(total)

        return Way(
            run=step,
            images=setting.images,
            expressions=setting.images * setting.expressions,
            # From the weights before any step, and off the device, so that it adds nothing to the peak.
            result=probabilities(segmentor, images, samples, protocol=protocol).cpu(),
        )

    return Benchmark(
        ways={name: way(name) for name in ("independent", "joint")},
        pairs=[
            Pair(way="independent", plain="joint", differ=SEEN if setting.expressions > 1 else ""),
        ],
        figures=_logit_memory(segmentor, setting),
    )


def _logit_memory(segmentor: MLLMSegmentor, setting: Setting) -> dict[str, float]:
    """MiB of the LM head's logits in protocol 'independent', with the test's answers.

    The gradient takes as much again.
    """
    style, backbone = segmentor.prompt, segmentor.backbone
    texts = expression_texts(setting.expressions)
    turns = [[style.branch([text]) for text in texts]] * setting.images
    layout = backbone.layout(style.system, turns, image_size=backbone.image_size, supervised=True)
    everywhere, answers = layout.input_ids.numel(), len(layout.answer_ids)
    mib = backbone.vocab_size * LOGIT_BYTES / 2**20
    return {
        "positions": everywhere,
        "answer positions": answers,
        "LM-head logits at all positions, MiB": everywhere * mib,
        "LM-head logits at answer positions alone (as here), MiB": answers * mib,
    }


def _optimizer(segmentor: MLLMSegmentor, config: Config) -> OptimWrapper:
    """The config's, without mmengine's lines on each parameter."""
    if "optim_wrapper" not in config:
        raise ConfigError("the config has no optim_wrapper")
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        with DefaultScope.overwrite_default_scope("mmseg"):
            return build_optim_wrapper(segmentor, config.optim_wrapper)
    finally:
        logger.setLevel(level)

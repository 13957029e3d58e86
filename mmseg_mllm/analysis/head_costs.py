"""What a decode head costs beside MMSegmentation's heads on the same backbone, with random weights."""

import copy
import statistics
from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_mllm.analysis.benchmarks.measure import Measured, measure
from mmseg_mllm.analysis.benchmarks.memory import PeakMemory
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Setting, Way
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import ConfigError


def heads(config: Config, *, classes: int) -> dict[str, dict]:
    """The config's own decode head and its peers at MMSegmentation's usual widths, by name.

    FCNHead sees the last map. SegformerHead sees all maps, and where the own head's finest map is not the
    backbone's, also those from that one on.

    Raises:
        ConfigError: the model is not an ``EncoderDecoder`` with a head that picks its maps by ``in_index``.
    """
    own = config.get("model", {}).get("decode_head", {})
    if config.get("model", {}).get("type") != "EncoderDecoder" or "in_index" not in own:
        raise ConfigError("model: an EncoderDecoder whose decode_head has an in_index is needed")
    widths = _widths(config)
    last = len(widths) - 1
    finest = min(own["in_index"]) if isinstance(own["in_index"], Sequence) else own["in_index"]
    shared = dict(num_classes=classes, norm_cfg=dict(type="BN"), align_corners=False, dropout_ratio=0.1)

    def segformer(first: int) -> dict:
        maps = dict(in_index=[*range(first, last + 1)], in_channels=widths[first:])
        return dict(type="SegformerHead", channels=256, **maps, **shared)

    # The loss of all is the default, cross entropy: that of the config may have a weight for each class.
    plain = {key: value for key, value in own.items() if key != "loss_decode"}
    result = {
        own["type"]: {**plain, "num_classes": classes},
        "FCNHead": dict(
            type="FCNHead", in_index=last, in_channels=widths[last], channels=512, num_convs=2, **shared
        ),
        "UPerHead": dict(
            type="UPerHead", in_index=[*range(last + 1)], in_channels=widths, channels=512, **shared
        ),
        "SegformerHead": segformer(0),
    }
    if finest > 0:
        result[f"SegformerHead, maps {finest} to {last}"] = segformer(finest)
    return result


def compare(
    name: str,
    config: Config,
    *,
    sizes: Sequence[int],
    classes: int,
    setting: Setting,
    only: Sequence[str] = (),
) -> Iterator[dict]:
    """Measure every head at every size, one model at a time.

    Args:
        name: Of the config.
        config: With an ``EncoderDecoder``.
        sizes: Sides of the images.
        classes: Number of classes.
        setting: Device, batch and repeats; its dtype is float32.
        only: Names of heads to leave the others out; all by default.

    Yields:
        A row of results. Parameters are those of the head and of the whole model; FLOPs of inference, for one
        image (a training step's are left out: torch 2.13 counts the backward pass of depthwise convolutions,
        which MiT has, as that of full ones). Training is forward, loss and backward, inference forward and
        resize; MiB are those at the peak above what was in use before the model was made, ms the median.

    Raises:
        ConfigError: see :func:`heads`; there is no such head; or a single image for UPerHead, which pools it
            to one pixel.
    """
    if setting.images == 1 and (not only or "UPerHead" in only):
        raise ConfigError("batch 1: UPerHead's batch norm needs two images to train; take 2 or leave it out")
    found = heads(config, classes=classes)
    unknown = [head for head in only if head not in found]
    if unknown:
        raise ConfigError(f"{name}: no head {unknown[0]!r}; there are {', '.join(map(repr, found))}")
    memory = PeakMemory(setting.device)
    for head, decode_head in found.items():
        if only and head not in only:
            continue
        for size in sizes:
            memory.start()
            before = memory.peak()
            model = _build(config, decode_head).to(setting.device)
            ways = _ways(model, size=size, classes=classes, setting=setting)
            measured = measure(Benchmark(ways=ways, pairs=[]), setting).ways
            yield {
                "config": name,
                "head": head,
                "size": size,
                "head, M param.": _parameters(model.decode_head) / 1e6,
                "model, M param.": _parameters(model) / 1e6,
                "GFLOPs / image": measured["inference"].flops / setting.images / 1e9,
                **_costs("training", measured["training"], before),
                **_costs("inference", measured["inference"], before),
            }
            del model, ways


def _build(config: Config, decode_head: dict) -> EncoderDecoder:
    """The model without auxiliary heads; nothing is downloaded."""
    model = copy.deepcopy(config.model)
    model.pop("auxiliary_head", None)
    model.backbone.pop("init_cfg", None)
    model.decode_head = decode_head
    with quiet_upstream():
        return MODELS.build(model)


@torch.no_grad()
def _widths(config: Config) -> list[int]:
    """Channels of the backbone's maps."""
    backbone = copy.deepcopy(config.model.backbone)
    backbone.pop("init_cfg", None)
    built = MODELS.build(backbone)
    built.eval()  # mmseg's ResNet returns nothing here
    return [feature_map.shape[1] for feature_map in built(torch.zeros(1, 3, 64, 64))]


def _ways(model: EncoderDecoder, *, size: int, classes: int, setting: Setting) -> dict[str, Way]:
    images = torch.randn(setting.images, 3, size, size, device=setting.device)
    labels = torch.randint(classes, (setting.images, 1, size, size), device=setting.device)
    metas = dict(img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size))
    samples = [
        SegDataSample(metainfo=metas, gt_sem_seg=PixelData(data=own, metainfo=metas)) for own in labels
    ]

    def training() -> None:
        model.train().requires_grad_(True).zero_grad()
        losses = model.loss(images, samples)
        sum(value.sum() for key, value in losses.items() if "loss" in key).backward()

    @torch.no_grad()
    def inference() -> None:
        # torch's counter of FLOPs trips over views of parameters that want gradients.
        model.eval().requires_grad_(False).zero_grad()
        model.encode_decode(images, [metas] * setting.images)

    return {way.__name__: Way(run=way, images=setting.images) for way in (training, inference)}


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _costs(way: str, measured: Measured, before: int) -> dict[str, float]:
    return {
        f"{way}, MiB": max(0, measured.peak_bytes - before) / 2**20,
        f"{way}, ms": statistics.median(measured.seconds) * 1e3,
    }

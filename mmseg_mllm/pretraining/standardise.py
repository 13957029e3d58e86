"""The vision tower's features made alike in size, so that a mask decoder can start from them."""

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn


@HOOKS.register_module()
class StandardiseFeatures(Hook):
    """Before the first step, give each channel of the detail map a mean of 0 and a deviation of 1.

    A vision tower that learned from scratch leaves channels with large constants. A mask decoder takes the
    map as it is, and learns from such channels more slowly. Means and deviations go into the tower's last
    norm; the projector is changed to give nearly the same tokens, and learns the rest.

    Args:
        scenes: How many of the training set are looked at.
    """

    def __init__(self, *, scenes: int = 200) -> None:
        self.scenes = scenes

    def before_train(self, runner: Runner) -> None:
        if runner.iter:
            return
        dataset = runner.train_dataloader.dataset
        data = pseudo_collate([dataset[i] for i in range(self.scenes)])
        images = runner.model.data_preprocessor(data)["inputs"]
        with torch.no_grad():
            detail = runner.model.backbone.see(images).detail
        standardise(runner.model.backbone.model.model, detail.transpose(0, 1).flatten(1))


@torch.no_grad()
def standardise(core: nn.Module, channels: Tensor) -> None:
    """Move the means and deviations of (C, N) features into the last norm of an InternVL's tower."""
    deviation, mean = torch.std_mean(channels, dim=1)
    norm = core.vision_tower.layernorm
    norm.weight.div_(deviation)
    norm.bias.sub_(mean).div_(deviation)
    # The projector's norm takes 4 patches together. Its input's deviation was that of the means, nearly.
    first = core.multi_modal_projector.layer_norm
    repeats = first.weight.numel() // mean.numel()
    total, middle = mean.var(correction=0).add(deviation.square().mean()).sqrt(), mean.mean()
    mean, deviation = mean.repeat(repeats), deviation.repeat(repeats)
    first.bias.add_(first.weight * (mean - middle) / total)
    first.weight.mul_(deviation / total)

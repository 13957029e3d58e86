"""Muon and AdamW as one optimiser."""

import io

import torch
from mmengine.optim import LinearLR
from torch import nn, optim

from mmseg_mllm.engine.optimizer import MuonConstructor

MUON, ADAMW = dict(lr=1e-2, weight_decay=0.05), dict(lr=3e-3, weight_decay=0.0)
CONFIG = dict(optimizer=dict(muon=MUON, adamw=ADAMW))


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3))


def step(net: nn.Module, *optimizers: optim.Optimizer) -> None:
    net(torch.tensor([0, 1, 4])).square().sum().add(net[0].weight.sum() + net[2].weight.sum()).backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def test_it_does_what_the_two_do_and_resumes():
    net, plain = model(), model()
    named = nn.ModuleDict(dict(embed_tokens=net[0], linear=net[1], norm=net[2]))
    wrapper = MuonConstructor(CONFIG)(named)
    schedule = LinearLR(wrapper, start_factor=0.5, by_epoch=False, begin=0, end=4)
    both = (
        optim.Muon([plain[1].weight], **MUON),
        optim.AdamW([plain[0].weight, plain[1].bias, *plain[2].parameters()], **ADAMW),
    )
    for n in range(4):
        for optimizer, lr in zip(both, (1e-2, 3e-3), strict=True):
            optimizer.param_groups[0]["lr"] = lr * (0.5 + 0.5 * n / 3)
        if n == 2:  # goes on from a file
            file = io.BytesIO()
            torch.save(wrapper.state_dict(), file)
            file.seek(0)
            wrapper.load_state_dict(torch.load(file, weights_only=True))
        step(net, wrapper.optimizer)
        schedule.step()
        step(plain, *both)
    for mine, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)

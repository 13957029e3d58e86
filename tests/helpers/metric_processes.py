"""One process's part of a distributed evaluation; importable, so that processes can be spawned."""

import numpy as np
import torch
from helpers.metric_samples import sample_of

from mmseg_mllm.evaluation import RESMetric


def random_sample(rng: np.random.Generator, **changes) -> dict:
    """Masks of one image that agree more or less."""
    count, height, width = rng.integers(1, 6), rng.integers(5, 40), rng.integers(5, 40)
    gt = rng.random((count, height, width)) < rng.uniform(0.2, 0.8)
    gt[:, 0, 0] = True
    noise = rng.random(gt.shape) < rng.choice([0.02, 0.1, 0.2, 0.4], (count, 1, 1))
    return sample_of(gt ^ noise, gt, **changes)


def mixed_samples() -> list[dict]:
    """Thirteen images of two datasets: with boxes, and with verdicts and expressions without a target."""
    rng = np.random.default_rng(3)
    samples = []
    for i in range(13):
        sample = random_sample(rng, dataset="grefcoco" if i % 3 == 0 else "refcoco")
        k = len(sample["ann_ids"])
        for name in ("pred_instances", "gt_instances"):
            start = torch.from_numpy(rng.uniform(0, 5, (k, 2)))
            sample[name]["bboxes"] = torch.cat([start, start + rng.uniform(5, 9)], dim=1).float()
        if sample["dataset"] == "grefcoco":
            sample["ann_ids"] = [*sample["ann_ids"][1:], ()]
            sample["gt_instances"]["masks"][-1] = False
            sample["pred_instances"]["rejected"] = torch.from_numpy(rng.random(k) < 0.5)
        samples.append(sample)
    return samples


def evaluate_in_process(rank: int, world_size: int, store: str, results) -> None:
    """Score this process's share, as a distributed sampler deals it out: in turn, padded from the start."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=world_size
    )
    samples = mixed_samples()
    padded = [*samples, *samples][: -(-len(samples) // world_size) * world_size]
    metric = RESMetric(rotate_expressions=True)
    metric.process(None, padded[rank::world_size])
    results.put(metric.evaluate(len(samples)))
    torch.distributed.destroy_process_group()

"""Verdicts by the size of masks."""

import pytest
import torch
from helpers.tiny_model import make_samples

from mmseg_mllm.errors import ConfigError

EXPRESSIONS = [["red circle", "the dog", "a blue star"], ["zebra", "man in a hat"]]


@pytest.mark.parametrize("most", [64, 1])
def test_too_small_a_mask_says_that_there_is_no_target(build_segmentor, images, monkeypatch, most):
    drawn = build_segmentor()(images, make_samples(EXPRESSIONS), mode="predict")
    counts = sorted(int(n) for s in drawn for n in s.pred_instances.masks.sum(dim=(1, 2)))
    limit = counts[-1]
    assert 0 < counts[0] < limit
    monkeypatch.setattr("mmseg_mllm.models.segmentors.mllm_segmentor.EMPTY_BELOW", limit)
    segmentor = build_segmentor(verdict="mask")
    segmentor.max_expressions = most
    found = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
    for one, other in zip(drawn, found, strict=True):
        small = one.pred_instances.masks.sum(dim=(1, 2)) < limit
        assert torch.equal(other.pred_instances.rejected, small)
        assert torch.equal(other.pred_instances.masks, one.pred_instances.masks & ~small[:, None, None])
        assert not other.pred_instances.bboxes[small].any()
        torch.testing.assert_close(other.pred_instances.scores, one.pred_instances.scores)
        assert other.protocol == f"independent, forced, no target: mask below {limit} px"


def test_absent_targets_are_trained_to_have_an_empty_mask(build_segmentor, images, monkeypatch):
    monkeypatch.setattr("random.choice", lambda options: options[0])
    samples = make_samples(EXPRESSIONS, has_target=[[True, False, True], [False, False]])
    for sample in samples:
        sample.gt_instances.masks[[not ids for ids in sample.ann_ids]] = False
    segmentor = build_segmentor(verdict="mask")
    losses = segmentor(images, samples, mode="loss")
    logits = segmentor._run(images, samples, supervised=True)[1]
    masks = torch.cat([sample.gt_instances.masks for sample in samples])
    for name, value in segmentor.decode_head.mask_loss(logits, masks).items():
        torch.testing.assert_close(losses[name], value)
    tokens = build_segmentor()(images, samples, mode="loss")
    torch.testing.assert_close(losses["loss_text"], tokens["loss_text"])
    assert losses["loss_dice"] > tokens["loss_dice"] + 0.05


def test_other_verdicts_are_refused(build_segmentor):
    with pytest.raises(ConfigError, match=r"unknown verdict 'box'; there are token, mask"):
        build_segmentor(verdict="box")
    for protocol in ("paper", "generate"):
        with pytest.raises(ConfigError, match=f"verdict='mask' does not go with protocol '{protocol}'"):
            build_segmentor(verdict="mask", protocol=protocol)

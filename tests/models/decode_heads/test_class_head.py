"""DSFFHead as the decode head of mmseg's EncoderDecoder."""

import mmseg.registry
import pytest
import torch
import torch.nn.functional as F
from mmengine import ConfigDict
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from torch import nn
from torch.profiler import profile

from mmseg_mllm.errors import ConfigError

C, C_V, C_L, CLASSES = 32, 16, 24, 5
RESNET = dict(type="ResNet", depth=18, stem_channels=8, base_channels=8)
MIT = dict(
    type="MixVisionTransformer", embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4, drop_path_rate=0.0
)
SWIN = dict(
    type="SwinTransformer", embed_dims=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, drop_path_rate=0.0
)
BACKBONES = {"ResNet": (RESNET, [16, 64]), "MiT": (MIT, [8, 8]), "Swin": (SWIN, [16, 64])}


def head(**kwargs):
    torch.manual_seed(0)
    sizes = dict(in_channels=[C_V, C_L], channels=C, num_classes=CLASSES)
    return mmseg.registry.MODELS.build(dict(type="DSFFHead", **{**sizes, **kwargs}))


def segmentor(backbone="ResNet", *, auxiliary_head=None, test_cfg=None, **kwargs):
    """Of the backbone's four maps the head takes those of stride 8 and 32."""
    torch.manual_seed(0)
    config, widths = BACKBONES[backbone]
    decode_head = dict(type="DSFFHead", in_channels=widths, in_index=[1, 3], channels=C, num_classes=CLASSES)
    return mmseg.registry.MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=config,
            decode_head={**decode_head, **kwargs},
            auxiliary_head=auxiliary_head,
            test_cfg=ConfigDict(test_cfg or dict(mode="whole")),
        )
    )


def labelled_images(size=(64, 96), classes=CLASSES):
    """Two images (3, *size) of original size (50, 70); a corner of the labels is ignored."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(classes, (2, 1, *size), generator=generator)
    labels[:, :, :9, :7] = 255
    metainfo = dict(img_shape=size, ori_shape=(50, 70), pad_shape=size, flip=False, img_path="")
    samples = [SegDataSample(metainfo=metainfo, gt_sem_seg=PixelData(data=label)) for label in labels]
    return torch.randn(2, 3, *size, generator=generator), samples, labels[:, 0]


def total(losses):
    return sum(loss for name, loss in losses.items() if "loss" in name)


def transformer(block):
    """``nn.TransformerDecoder`` with the weights of a DecoderBlock."""
    layer = nn.TransformerDecoderLayer(C, 8, C, batch_first=True)
    layer.self_attn, layer.multihead_attn = block.self_attn, block.cross_attn
    layer.linear1, layer.linear2 = block.linear1, block.linear2
    layer.norm1, layer.norm2, layer.norm3 = block.norm1, block.norm2, block.norm3
    return nn.TransformerDecoder(layer, 1, norm=block.final_norm).eval()


def plain_logits(made, detail, semantic, steps):
    """Fig. 3 of arXiv 2508.04107 up to its queries, which are the classes', then convolutions; one image."""
    tokens = F.conv2d(detail, made.detail_proj.weight, made.detail_proj.bias).flatten(2).mT
    memory = made.semantic_proj(semantic.flatten(2).mT)
    upsampled = memory.mT.reshape(1, C, *semantic.shape[2:])
    for _ in range(steps):
        upsampled = made.fusion.upsample(upsampled)
    upsampled = F.interpolate(upsampled, detail.shape[2:], mode="bilinear", align_corners=made.align_corners)
    attended = transformer(made.fusion.cross_attention)(tokens, memory)
    fused = made.fusion.proj(torch.cat([attended, tokens, upsampled.flatten(2).mT], dim=-1))
    asked = transformer(made.decoder)(fused, made.class_queries.weight[None])
    cells = asked.mT.reshape(1, C, *detail.shape[2:])
    for layer in made.convs:
        norm = layer.norm
        cells = F.conv2d(cells, layer.conv.weight, padding=1)
        cells = F.batch_norm(cells, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        cells = F.relu(cells)
    return F.conv2d(cells, made.conv_seg.weight, made.conv_seg.bias)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("size", "semantic_size", "steps"),
    [
        ((6, 8), (6, 8), 1),  # ratio 1
        ((6, 8), (3, 4), 1),  # 2
        ((7, 14), (2, 4), 2),  # 3.5
        ((8, 16), (1, 2), 3),  # 8
        ((4, 16), (2, 2), 2),  # sqrt(2 * 8) = 4
        ((7, 11), (4, 6), 1),  # sides of stride 8 and 16 that do not divide
        ((9, 9), (4, 4), 1),
        ((13, 5), (4, 2), 2),  # sqrt(13 / 4 * 5 / 2) = 2.85 is nearer to 4 than to 2 on a scale of logarithms
    ],
)
def test_equals_the_plain_computation(size, semantic_size, steps, align_corners):
    made = head(align_corners=align_corners).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for layer in made.convs:
            layer.norm.running_mean.normal_()
            layer.norm.running_var.uniform_(0.5, 2)
    detail = torch.randn(2, C_V, *size, dtype=torch.float64)
    semantic = torch.randn(2, C_L, *semantic_size, dtype=torch.float64)
    logits = made([detail, semantic])
    assert logits.shape == (2, CLASSES, *size)
    for image in range(2):
        expected = plain_logits(made, detail[image, None], semantic[image, None], steps)
        torch.testing.assert_close(logits[image, None], expected, rtol=0, atol=1e-10)
    assert logits.std(dim=(0, 2, 3)).min() > 0.05


def test_fewer_keys_where_squares_are_constant_change_nothing():
    all_keys, few = (head(key_reduction=factor).double().eval() for factor in (1, 2))
    few.load_state_dict(all_keys.state_dict())
    detail = torch.randn(2, C, 3, 4).double().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    semantic = torch.randn(2, C, 3, 4).double()
    fused = [made.fusion(detail, semantic) for made in (all_keys, few)]
    torch.testing.assert_close(*fused, rtol=0, atol=1e-10)
    maps = [torch.randn(2, C_V, 7, 9).double(), torch.randn(2, C_L, 4, 5).double()]
    assert (all_keys(maps) - few(maps)).abs().max() > 1e-4


def test_recomputed_attention_gives_the_same_gradients():
    kept, again = (head(with_cp=with_cp, dropout_ratio=0, dropout=0.2).double() for with_cp in (False, True))
    again.load_state_dict(kept.state_dict())
    maps = [torch.randn(2, C_V, 6, 8).double(), torch.randn(2, C_L, 3, 4).double()]
    gradients = []
    for made in (kept, again):
        leaves = [feature_map.clone().requires_grad_() for feature_map in maps]
        torch.manual_seed(1)
        made(leaves).square().sum().backward()
        gradients.append([*(leaf.grad for leaf in leaves), *(p.grad for p in made.parameters())])
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_keeps_no_pairs_of_pixels(training, dtype):
    made = head().train(training)
    maps = [torch.randn(1, C_V, 12, 16), torch.randn(1, C_L, 6, 8)]
    low = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
    with profile() as profiled, torch.set_grad_enabled(training), low:
        made(maps)
    ops = {event.key: event.count for event in profiled.key_averages()}
    assert ops["aten::_scaled_dot_product_flash_attention_for_cpu"] == 4  # two blocks, self and cross
    assert "aten::_scaled_dot_product_attention_math" not in ops
    assert "aten::_native_multi_head_attention" not in ops


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_step(backbone):
    """mmseg's cross-entropy of logits resized to the labels; every parameter gets a gradient."""
    model = segmentor(backbone, dropout_ratio=0).train()
    images, samples, labels = labelled_images()
    losses = model.loss(images, samples)
    logits = F.interpolate(model(images), labels.shape[1:], mode="bilinear", align_corners=False)
    expected = F.cross_entropy(logits, labels, ignore_index=255, reduction="sum") / labels.numel()
    assert losses["decode.loss_ce"].item() == pytest.approx(expected.item(), rel=1e-4)
    total(losses).backward()
    assert model.decode_head.class_queries.weight.grad.abs().sum(1).min() > 0
    # Of a Swin's outputs in_index leaves out two, whose norms nothing uses.
    unused = [name for name, param in model.named_parameters() if param.grad is None]
    assert unused == (
        [f"backbone.norm{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")]
        if backbone == "Swin"
        else []
    )


@torch.no_grad()
@pytest.mark.parametrize("backbone", BACKBONES)
def test_prediction(backbone):
    model = segmentor(backbone).eval()
    images, samples, _ = labelled_images()
    logits = F.interpolate(model(images), (64, 96), mode="bilinear", align_corners=False)
    logits = F.interpolate(logits, (50, 70), mode="bilinear", align_corners=False)
    predicted = torch.stack([sample.pred_sem_seg.data for sample in model.predict(images, samples)])
    torch.testing.assert_close(predicted[:, 0], logits.argmax(1))
    assert len(predicted.unique()) > 1


def test_training_lowers_the_loss():
    model = segmentor("MiT", norm_cfg=dict(type="GN", num_groups=8), dropout_ratio=0).train()
    images, samples, labels = labelled_images(size=(32, 64))
    labels[:] = (images[:, 0].round().long() % CLASSES).clamp(0, CLASSES - 1)
    for sample in samples:
        sample.gt_sem_seg.data[:, :, 32:] = 3
        sample.gt_sem_seg.data[:, :, :32] = 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    found = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = model.loss(images, samples)["decode.loss_ce"]
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.3 * found[0]


@torch.no_grad()
def test_slide_inference():
    """Of crops that don't overlap: each is predicted alone."""
    model = segmentor(test_cfg=dict(mode="slide", crop_size=(32, 48), stride=(32, 48))).eval()
    images, samples, _ = labelled_images()
    logits = model.slide_inference(images, [sample.metainfo for sample in samples])
    corner = F.interpolate(model(images[:, :, 32:, 48:]), (32, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits[:, :, 32:, 48:], corner, rtol=0, atol=1e-5)


@torch.no_grad()
def test_test_time_augmentation():
    model = segmentor().eval()
    images, samples, _ = labelled_images()
    flipped = labelled_images()[1]
    for sample in flipped:
        sample.set_metainfo(dict(flip=True, flip_direction="horizontal"))
    batch = dict(inputs=[images, images.flip(-1)], data_samples=[samples, flipped])
    merged = SegTTAModel(module=model).test_step(batch)
    one, other = model.predict(images, samples), model.predict(images.flip(-1), flipped)
    for found, plain, mirrored in zip(merged, one, other, strict=True):
        mean = plain.seg_logits.data.softmax(0) + mirrored.seg_logits.data.softmax(0)
        torch.testing.assert_close(found.pred_sem_seg.data[0], mean.argmax(0))


def test_bfloat16_autocast():
    model = segmentor("MiT", dropout_ratio=0)
    images, samples, _ = labelled_images()
    exact = model.loss(images, samples)["decode.loss_ce"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model.loss(images, samples)
    total(losses).backward()
    assert losses["decode.loss_ce"].item() == pytest.approx(exact.item(), rel=0.02)
    assert all(torch.isfinite(param.grad).all() for param in model.parameters())


def test_several_losses_and_auxiliary_head():
    losses = [dict(type="CrossEntropyLoss", loss_weight=0.5), dict(type="DiceLoss", loss_name="loss_dice")]
    auxiliary = dict(type="FCNHead", in_channels=32, in_index=2, channels=8, num_classes=CLASSES)
    model = segmentor(loss_decode=losses, auxiliary_head=auxiliary)
    found = model.loss(*labelled_images()[:2])
    assert [name for name in found if "loss" in name] == ["decode.loss_ce", "decode.loss_dice", "aux.loss_ce"]
    total(found).backward()
    assert [name for name, param in model.named_parameters() if param.grad is None] == []


def test_hard_example_mining():
    """Cross-entropy of the pixels alone whose class is least likely."""
    model = segmentor(sampler=dict(type="OHEMPixelSampler", min_kept=50), dropout_ratio=0)
    images, samples, labels = labelled_images()
    logits = F.interpolate(model(images), labels.shape[1:], mode="bilinear", align_corners=False)
    hardest = (
        F.cross_entropy(logits, labels, ignore_index=255, reduction="none").flatten().topk(2 * 50).values
    )
    found = model.loss(images, samples)["decode.loss_ce"] * labels.numel()
    assert found.item() == pytest.approx(hardest.sum().item(), rel=1e-4)


def test_binary_with_one_output():
    """mmseg's way: two classes, one logit, a threshold."""
    model = segmentor(
        num_classes=2,
        out_channels=1,
        threshold=0.4,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=True),
    )
    images, samples, _ = labelled_images(classes=2)
    total(model.loss(images, samples)).backward()
    probability = model.eval().predict(images, samples)[0].seg_logits.data  # mmseg stores it under this name
    assert probability.shape == (1, 50, 70)
    # One that some pixels pass, whatever the random weights are.
    model.decode_head.threshold = probability.median().item()
    sample = model.predict(images, samples)[0]
    above = probability > model.decode_head.threshold
    assert torch.equal(sample.pred_sem_seg.data, above.to(sample.pred_sem_seg.data))
    assert 0 < sample.pred_sem_seg.data.float().mean() < 1


@pytest.mark.parametrize("fusion", ["dsff", "concat", "detail", "semantic"])
@pytest.mark.parametrize(("semantic_size", "with_cp"), [((3, 4), False), ((6, 8), False), ((3, 4), True)])
def test_every_parameter_is_used(fusion, semantic_size, with_cp):
    """Also on a frozen backbone, and where both maps are of one size: DDP stops at an unused parameter."""
    made = head(fusion=fusion, with_cp=with_cp)
    made([torch.randn(2, C_V, 6, 8), torch.randn(2, C_L, *semantic_size)]).sum().backward()
    assert [name for name, param in made.named_parameters() if param.grad is None] == []


def test_has_nothing_of_the_mask_decoder():
    names = {name.split(".")[0] for name in head().state_dict()}
    shared = {"detail_proj", "semantic_proj", "fusion", "decoder"}
    assert names == shared | {"class_queries", "convs", "conv_seg"}
    masks = {name.split(".")[0] for name in head(num_classes=None).state_dict()}
    assert masks == shared | {"query_proj", "mask_conv", "mask_norm", "mask_out"}


def test_norm_and_activation():
    made = head(norm_cfg=dict(type="SyncBN"), act_cfg=dict(type="GELU"))
    for layer in made.convs:
        assert isinstance(layer.norm, nn.SyncBatchNorm)
        assert type(layer.activate) is nn.GELU


@pytest.mark.parametrize("num_convs", [0, 1, 3])
def test_number_of_convolutions(num_convs):
    made = head(num_convs=num_convs).eval()
    kernels = [module for module in made.convs.modules() if isinstance(module, nn.Conv2d)]
    assert [kernel.kernel_size for kernel in kernels] == [(3, 3)] * num_convs
    assert made([torch.randn(2, C_V, 6, 8), torch.randn(2, C_L, 3, 4)]).shape == (2, CLASSES, 6, 8)


@pytest.mark.parametrize(
    ("kwargs", "maps", "message"),
    [
        (dict(in_index=[1, 5]), [(C_V, 8), (C_L, 4)], r"in_index=\[1, 5\].*gives 2 maps, 0 to 1"),
        (dict(in_index=[-3, -1]), [(C_V, 8), (C_L, 4)], r"in_index=\[-3, -1\].*gives 2 maps"),
        ({}, [(C_V, 8)], r"in_index=\[0, 1\].*gives a single map"),
        ({}, [(C_V, 4), (C_L, 8)], r"first detail map of \(4, 4\) and another map of \(8, 8\)"),
        ({}, [(C_V, 8), (C_V, 4)], r"in_channels=\[16, 24\].*\[16, 16\] channels"),
    ],
)
def test_maps_of_another_backbone(kwargs, maps, message):
    with pytest.raises(ConfigError, match=message):
        head(**kwargs)([torch.randn(1, width, side, side) for width, side in maps])


def test_backbone_that_gives_a_tensor():
    with pytest.raises(ConfigError, match="gives a single map"):
        head()(torch.randn(2, C_V, 8, 8))


@pytest.mark.parametrize("align_corners", [False, True])
def test_several_detail_maps_stand_beside_one_another(align_corners):
    several = head(in_channels=[C_V, 5, C_L], in_index=[0, 2, 1], align_corners=align_corners).eval()
    joined = head(in_channels=[C_V + 5, C_L], align_corners=align_corners).eval()
    joined.load_state_dict(several.state_dict())
    detail, semantic, other = torch.randn(2, C_V, 7, 9), torch.randn(2, C_L, 4, 5), torch.randn(2, 5, 3, 2)
    resized = F.interpolate(other, (7, 9), mode="bilinear", align_corners=align_corners)
    expected = joined([torch.cat([detail, resized], dim=1), semantic])
    torch.testing.assert_close(several([detail, semantic, other]), expected, rtol=0, atol=1e-6)
    assert (several([detail, semantic, -other]) - expected).abs().max() > 1e-3


def test_indices_count_from_the_end_too():
    maps = [torch.randn(1, C_V, 8, 8), torch.randn(1, C_L, 4, 4)]
    made = head().eval()
    expected = made(maps)
    made.in_index = [-2, -1]
    torch.testing.assert_close(made(maps), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(in_channels=C_V), "in_channels=16: give two"),
        (dict(in_channels=[1, 2, 3]), r"in_channels=\[1, 2, 3\] are not as many as in_index=\[0, 1\]"),
        (dict(in_index=3), "in_index=3: give two"),
        (dict(fusion="add"), "unknown fusion 'add'"),
        (dict(key_reduction=0), "key_reduction=0"),
        (dict(num_convs=-1), "num_convs=-1"),
    ],
)
def test_arguments_that_do_not_fit(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        head(**kwargs)


def test_labels_that_are_no_class():
    images, samples, _ = labelled_images(classes=9)
    with pytest.raises(ConfigError, match=r"num_classes=5.*labels 5, 6, 7, 8 \(ignore_index=255\)"):
        segmentor().loss(images, samples)


def test_queries_from_outside_make_no_ordinary_head():
    with pytest.raises(ConfigError, match="set num_classes"):
        head(num_classes=None)([torch.rand(1, C_V, 4, 4), torch.rand(1, C_L, 2, 2)])

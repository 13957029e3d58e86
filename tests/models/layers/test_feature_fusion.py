import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.layers import FUSIONS, FeatureFusion

C, H, W = 16, 6, 10
PARTS = {"dsff": ("attended", "detail", "upsampled"), "concat": ("detail", "upsampled")}
PARTS.update(detail=("detail",), semantic=("upsampled",))


@pytest.fixture(autouse=True)
def double_precision():
    """Rounding is far below every tolerance here."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_fusion(mode, scale=2):
    torch.manual_seed(0)
    return FeatureFusion(channels=C, mode=mode, scale=scale, num_heads=2, feedforward_channels=24).eval()


def make_maps(scale=2):
    return torch.randn(2, C, H, W), torch.randn(2, C, H // scale, W // scale)


def pass_through(fusion, index):
    """Let the linear layer return the part at ``index`` of the concatenation unchanged."""
    with torch.no_grad():
        fusion.proj.bias.zero_()
        fusion.proj.weight.zero_()
        fusion.proj.weight[:, index * C : (index + 1) * C].copy_(torch.eye(C))


def attend(block, detail, semantic):
    """Per pixel of ``detail``, ``nn.TransformerDecoder`` with the pixels of ``semantic`` as memory."""
    layer = nn.TransformerDecoderLayer(C, 2, 24, batch_first=True)
    layer.self_attn, layer.multihead_attn = block.self_attn, block.cross_attn
    layer.linear1, layer.linear2 = block.linear1, block.linear2
    layer.norm1, layer.norm2, layer.norm3 = block.norm1, block.norm2, block.norm3
    decoder = nn.TransformerDecoder(layer, 1, norm=block.final_norm).eval()
    pixels = [[image[:, y, x] for y in range(H) for x in range(W)] for image in detail]
    tokens = decoder(torch.stack([torch.stack(rows) for rows in pixels]), semantic.flatten(2).mT)
    return torch.stack([tokens[:, y * W + x] for y in range(H) for x in range(W)], -1).reshape(2, C, H, W)


@pytest.mark.parametrize(("mode", "part"), [(mode, part) for mode in FUSIONS for part in PARTS[mode]])
def test_parts_and_their_order(mode, part):
    """Table 4 of arXiv 2508.04107; the order of the parts is that of the authors' weights."""
    fusion = make_fusion(mode)
    detail, semantic = make_maps()
    pass_through(fusion, PARTS[mode].index(part))
    if part == "attended":
        expected = attend(fusion.cross_attention, detail, semantic)
    elif part == "detail":
        expected = detail
    else:
        nn.init.zeros_(fusion.upsample.offset.weight)  # DySample without offsets is bilinear
        nn.init.zeros_(fusion.upsample.offset.bias)
        expected = F.interpolate(semantic, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(fusion(detail, semantic), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", FUSIONS)
def test_linear_layer_sums_the_parts(mode):
    """W [a; b; c] + bias = [W_a 0 0] x + [0 W_b 0] x + [0 0 W_c] x + bias."""
    fusion = make_fusion(mode)
    detail, semantic = make_maps()
    out = fusion(detail, semantic)
    weight, bias = fusion.proj.weight.detach().clone(), fusion.proj.bias.detach().clone()
    expected = bias[:, None, None]
    for index, block in enumerate(weight.chunk(len(PARTS[mode]), dim=1)):
        pass_through(fusion, index)
        expected = expected + torch.einsum("oc,bchw->bohw", block, fusion(detail, semantic))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


def test_upsampling_offsets_are_learned():
    fusion = make_fusion("semantic", scale=1)
    semantic = make_maps(scale=1)[1]
    nn.init.zeros_(fusion.upsample.offset.weight)
    # Offsets are scaled by 0.25: 4 is one pixel. The channels are [x, y][group].
    fusion.upsample.offset.bias.data = torch.tensor([4.0] * 4 + [0.0] * 4)
    pass_through(fusion, 0)
    shifted = F.pad(semantic, (0, 1, 0, 0), mode="replicate")[..., 1:]
    torch.testing.assert_close(fusion(semantic, semantic), shifted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", ["dsff", "concat", "semantic"])
def test_maps_whose_sides_do_not_divide(mode):
    """(7, 9) over (4, 5): the upsampled (8, 10) is resized to the detail map."""
    fusion = make_fusion(mode)
    detail, semantic = torch.randn(1, C, 7, 9), torch.randn(1, C, 4, 5)
    pass_through(fusion, PARTS[mode].index("upsampled"))
    nn.init.zeros_(fusion.upsample.offset.weight)
    nn.init.zeros_(fusion.upsample.offset.bias)
    resize = dict(mode="bilinear", align_corners=False)
    expected = F.interpolate(F.interpolate(semantic, size=(8, 10), **resize), size=(7, 9), **resize)
    torch.testing.assert_close(fusion(detail, semantic), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("mode", "uses_detail", "uses_semantic"),
    [("dsff", True, True), ("concat", True, True), ("detail", True, False), ("semantic", False, True)],
)
def test_gradient_reaches_the_maps_in_use(mode, uses_detail, uses_semantic):
    maps = [feature_map.requires_grad_() for feature_map in make_maps()]
    fusion = make_fusion(mode)
    fusion(*maps).square().sum().backward()
    used = [feature_map.grad is not None and bool(feature_map.grad.any()) for feature_map in maps]
    assert used == [uses_detail, uses_semantic]
    assert all(param.grad is not None for param in fusion.parameters())


def test_detail_alone_needs_no_semantic_map():
    fusion = make_fusion("detail")
    detail, semantic = make_maps()
    torch.testing.assert_close(fusion(detail, None), fusion(detail, semantic), rtol=0, atol=0)


def test_unknown_mode():
    with pytest.raises(ConfigError, match=r"'sum'.*dsff, concat, detail, semantic"):
        FeatureFusion(channels=C, mode="sum")

import math
from copy import deepcopy

import mmseg.registry
import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F
from helpers.compiler import needs_compiler
from helpers.official_head import official_state
from torch import nn

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.ops import DySample

C, SCALE, C_V, C_L = 32, 3, 24, 20  # channels, mask_scale, widths of the detail and the semantic map
H, W = 6, 12


def build(**kwargs):
    return mmseg.registry.MODELS.build(dict(type="DSFFHead", **kwargs))


def small_head(**kwargs):
    """Random weights and statistics everywhere, also where fresh ones are 0 or 1."""
    torch.manual_seed(0)
    head = build(**{**dict(in_channels=[C_V, C_L], channels=C, mask_scale=SCALE), **kwargs})
    with torch.no_grad():
        for param in head.parameters():
            param.add_(0.1 * torch.randn_like(param))
        head.mask_norm.running_mean.normal_()
        head.mask_norm.running_var.uniform_(0.5, 2)
    return head.eval()


def random_features(image_index, semantic_scale=2):
    """detail (3, C_v, H, W), semantic (3, C_l, H / scale, W / scale), queries (N, C_l), image_index (N,)."""
    semantic = torch.randn(3, C_L, H // semantic_scale, W // semantic_scale)
    return torch.randn(3, C_V, H, W), semantic, torch.randn(len(image_index), C_L), torch.tensor(image_index)


def transformer():
    layer = nn.TransformerDecoderLayer(C, 8, C, dropout=0.1, activation="relu", batch_first=True)
    return nn.ModuleDict(dict(decoder=nn.TransformerDecoder(layer, 1, norm=nn.LayerNorm(C))))


class PlainDecoder(nn.Module):
    """Fig. 3 of arXiv 2508.04107 in the order and under the names of the authors' code, image repeated."""

    def __init__(self, semantic_scale):
        super().__init__()
        self.img_llm_down, self.text_down = nn.Linear(C_L, C), nn.Linear(C_L, C)
        self.ca_layer_v2l, self.ca_layer_vl = transformer(), transformer()
        self.upsample_adapter_l = DySample(C, scale_factor=semantic_scale, groups=4)
        self.text_out_adapter = nn.Linear(3 * C, C)
        self.conv1 = nn.Sequential(nn.Conv2d(C, SCALE**2, 3, padding=1), nn.BatchNorm2d(SCALE**2), nn.ReLU())
        self.conv2 = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, detail, semantic, text):
        """detail (N, H * W, C), semantic (N, h * w, C_l), text (N, 1, C_l) -> (N, 1, 3 * H, 3 * W)."""
        semantic = self.img_llm_down(semantic)
        attended = self.ca_layer_v2l["decoder"](detail, semantic)
        scale = self.upsample_adapter_l.scale_factor
        semantic_map = semantic.mT.reshape(-1, C, H // scale, W // scale)
        upsampled = self.upsample_adapter_l(semantic_map).flatten(2).mT
        fused = self.text_out_adapter(torch.cat([attended, detail, upsampled], dim=-1))
        tokens = self.ca_layer_vl["decoder"](fused, self.text_down(text))
        return self.conv2(F.pixel_shuffle(self.conv1(tokens.mT.reshape(-1, C, H, W)), SCALE))


@pytest.mark.parametrize(
    ("image_index", "semantic_scale"), [([0, 0, 2, 2, 2], 2), ([2, 0, 1, 0], 3), ([1], 2)]
)
def test_equals_computing_everything_per_expression(image_index, semantic_scale):
    head = small_head(semantic_scale=semantic_scale).double()
    plain = PlainDecoder(semantic_scale).double().eval()
    state = {name: t for name, t in head.state_dict().items() if not name.startswith("detail_proj")}
    official = official_state(state)
    plain.load_state_dict({name.removeprefix("res_decoder."): tensor for name, tensor in official.items()})
    *features, index = random_features(image_index, semantic_scale)
    detail, semantic, queries = (feature.double() for feature in features)
    logits = head.decode(head.encode(detail, semantic), queries, index)
    assert logits.shape == (len(image_index), 1, SCALE * H, SCALE * W)
    projected = torch.einsum("oc,bchw->bhwo", head.detail_proj.weight[:, :, 0, 0], detail)
    projected = (projected + head.detail_proj.bias).flatten(1, 2)
    for n, image in enumerate(image_index):
        expected = plain(projected[image, None], semantic[image, None].flatten(2).mT, queries[n, None, None])
        torch.testing.assert_close(logits[n, None], expected, rtol=0, atol=1e-10)
    assert logits.std() > 0.1


@needs_compiler
@torch.no_grad()
def test_compiled_gives_the_same_masks():
    """For any number of expressions, also in a copy of the head."""
    head = small_head()
    features = random_features([0, 2, 2])
    detail, semantic, queries, index = features
    wanted = head.decode(head.encode(detail, semantic), queries, index)
    head.compiled = True
    # Detecting vector instructions and sharing headers take longer than compiling once without.
    with torch._inductor.config.patch({"cpp.simdlen": 1, "cpp_cache_precompile_headers": False}):
        for copy in (head, deepcopy(head)):
            for n in (3, 2):
                found = copy.decode(copy.encode(detail, semantic), queries[:n], index[:n])
                torch.testing.assert_close(found, wanted[:n], rtol=0, atol=1e-4)


def test_detail_of_the_heads_width_is_taken_as_it_is():
    head = small_head(in_channels=[C, C_L])
    assert not list(head.detail_proj.parameters())
    detail, semantic = torch.randn(1, C, H, W), torch.randn(1, C_L, H // 2, W // 2)
    seen = []
    head.fusion.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    head.encode(detail, semantic)
    torch.testing.assert_close(seen[0], detail, rtol=0, atol=0)


@pytest.mark.parametrize("fusion", ["dsff", "concat", "detail", "semantic"])
def test_training_reaches_every_parameter(fusion):
    head = small_head(fusion=fusion).train()
    detail, semantic, queries, index = random_features([0, 1, 1])
    leaves = [leaf.requires_grad_() for leaf in (detail, semantic, queries)]
    logits = head.decode(head.encode(detail, semantic), queries, index)
    sum(head.mask_loss(logits, torch.rand(3, SCALE * H, SCALE * W) > 0.5).values()).backward()
    assert [name for name, param in head.named_parameters() if param.grad is None] == []
    used = [leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves]
    assert used == [fusion != "semantic", fusion != "detail", True]


@pytest.mark.parametrize("training", [False, True])
def test_no_expression(training):
    """A batch without targets: zero loss, zero gradients for all parameters, statistics as they were."""
    head = small_head().train(training)
    before = head.mask_norm.running_mean.clone(), head.mask_norm.running_var.clone()
    detail, semantic, queries, index = random_features([0])
    logits = head.decode(head.encode(detail, semantic), queries[:0], index[:0])
    assert logits.shape == (0, 1, SCALE * H, SCALE * W)
    losses = head.mask_loss(logits, torch.zeros(0, 40, 50, dtype=torch.bool))
    assert {name: loss.item() for name, loss in losses.items()} == dict(loss_bce=0, loss_dice=0)
    sum(losses.values()).backward()
    assert all(param.grad is not None and not param.grad.any() for param in head.parameters())
    torch.testing.assert_close((head.mask_norm.running_mean, head.mask_norm.running_var), before)


@torch.no_grad()
def test_fewer_keys_are_means_of_the_fused_map():
    head = small_head(in_channels=[C, C_L], key_reduction=2)
    detail, semantic = torch.randn(2, C, 5, 6), torch.randn(2, C_L, 3, 3)
    fused = []
    head.fusion.register_forward_hook(lambda _, inputs, output: fused.append(output))
    encoded = head.encode(detail, semantic)
    keys = torch.stack(
        [fused[0][..., y : y + 2, x : x + 2].mean((2, 3)) for y in (0, 2, 4) for x in (0, 2, 4)], 1
    )
    tokens = fused[0].flatten(2).mT
    attended = head.decoder.self_attn(tokens, keys, keys)[0]
    wanted = head.decoder.norm1(tokens + attended).mT.reshape(2, C, 5, 6)
    torch.testing.assert_close(encoded, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("number", [0, 3])
def test_statistics_of_masks_are_float32_in_mixed_precision(number):
    """Processes with and without masks exchange them."""
    head = small_head().train()
    seen = []
    head.mask_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    detail, semantic, queries, index = random_features([0, 1, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        head.decode(head.encode(detail, semantic), queries[:number], index[:number])
    assert seen == [torch.float32]


@torch.no_grad()
def test_masks_start_nearly_empty_and_as_the_features_are():
    """Fresh weights: where nothing fires the logit is -6, and what fires counts sixfold, in its place."""
    torch.manual_seed(0)
    head = build(in_channels=[C_V, C_L], channels=C, mask_scale=SCALE)
    seen = []
    head.mask_out.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    detail, semantic, queries, index = random_features([0, 1, 1])
    logits = head.decode(head.encode(detail, semantic), queries, index)
    cells, masks = seen
    torch.testing.assert_close(logits, masks)
    assert cells.max() > 1
    torch.testing.assert_close(masks, 6 * cells - 6, rtol=0, atol=0.5)
    assert (masks > 0).float().mean() < 0.25


@pytest.mark.parametrize(
    ("semantic_width", "parameters"), [(896, 27_831_942), (2048, 30_191_238), (4096, 34_385_542)]
)
def test_parameter_counts_of_the_released_sizes(semantic_width, parameters):
    with torch.device("meta"):
        head = build(in_channels=[1024, semantic_width])
    assert sum(param.numel() for param in head.parameters()) == parameters


@pytest.mark.parametrize(
    ("fusion", "millions"), [("detail", 17.56), ("semantic", 21.78), ("concat", 22.83), ("dsff", 34.39)]
)
def test_parameter_counts_of_table_4(fusion, millions):
    with torch.device("meta"):
        head = build(in_channels=[1024, 4096], fusion=fusion)
    assert round(sum(param.numel() for param in head.parameters()) / 1e6, 2) == millions


def plain_losses(logits, masks):
    """Eq. 14, 15 with logits and masks (N, H, W): means over pixels and masks."""
    masks = masks.float()
    dice = []
    for probability, mask in zip(logits.sigmoid(), masks, strict=True):
        dice.append(1 - (2 * (probability * mask).sum() + 1) / (probability.sum() + mask.sum() + 1))
    return dict(
        loss_bce=F.binary_cross_entropy_with_logits(logits, masks), loss_dice=torch.stack(dice).mean()
    )


def test_mask_loss_equals_plain_torch():
    """Masks of many sizes of object, an empty and a full one among them."""
    logits = 3 * torch.randn(5, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(5, 20, 30, dtype=torch.bool)
    masks[0, 3:9, 4:20] = masks[1, 5, 5] = masks[2] = masks[3, ::2] = True
    logits.requires_grad_()
    losses = small_head().mask_loss(logits, masks)
    expected = plain_losses(logits[:, 0], masks)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(sum(found.values()), logits)[0] for found in (losses, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_mask_loss_in_closed_form():
    """Probability 1/2 everywhere on a full mask of 100 pixels, and on an empty one."""
    masks = torch.tensor([True, False])[:, None, None].expand(2, 10, 10)
    losses = small_head().mask_loss(torch.zeros(2, 1, 10, 10), masks)
    assert losses["loss_bce"].item() == pytest.approx(math.log(2))
    assert losses["loss_dice"].item() == pytest.approx((1 - 101 / 151 + 1 - 1 / 51) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mask_loss_resizes_logits(dtype):
    logits = torch.randn(2, 1, 8, 12, generator=torch.Generator().manual_seed(0)).to(dtype)
    masks = torch.zeros(2, 21, 17, dtype=torch.bool)
    masks[:, 4:15, 2:9] = True
    losses = small_head().mask_loss(logits, masks)
    resized = F.interpolate(logits.float(), size=(21, 17), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(losses, plain_losses(resized, masks), rtol=1e-5, atol=1e-6)


def test_unknown_fusion():
    with pytest.raises(ConfigError, match=r"'add'.*dsff, concat, detail, semantic"):
        build(in_channels=[C_V, C_L], channels=C, fusion="add")


def test_group_norm_keeps_masks_apart():
    """Unlike with batch norm, a mask in training is that of evaluation, whatever else is asked."""
    torch.manual_seed(0)
    sizes = dict(in_channels=[C_V, C_L], channels=C, mask_scale=4, dropout=0.0)
    head = build(**sizes, norm_cfg=dict(type="GN", num_groups=8)).double()
    *features, index = random_features([0, 1, 1])
    detail, semantic, queries = (feature.double() for feature in features)
    together = head.train().decode(head.encode(detail, semantic), queries, index)
    alone = head.eval().decode(head.encode(detail, semantic), queries[:1], index[:1])
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("num_classes", [None, 5])
def test_a_head_converted_to_bfloat16_as_a_whole(num_classes):
    """Masks for expressions, and classes, are those of float32 but for rounding."""
    if num_classes is None:
        head, (*maps, index) = small_head(), random_features([0, 2, 2])
    else:
        torch.manual_seed(0)
        head = build(in_channels=[C_V, C_L], in_index=[0, 1], channels=C, num_classes=num_classes).eval()
        maps = random_features([0])[:2]

    def run(given):
        if num_classes is not None:
            return head(given)
        detail, semantic, queries = given
        return head.decode(head.encode(detail, semantic), queries, index)

    wanted = run(maps)
    head.to(torch.bfloat16)
    found = run([x.bfloat16() for x in maps])
    assert found.dtype is torch.bfloat16
    assert (found - wanted).abs().mean() < 0.03 * wanted.std()


def test_computing_again_changes_no_gradient():
    """More queries than pass at once, of two images; batch norm sees all of them."""
    made = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        sizes = dict(in_channels=(12, 10), channels=16, num_heads=2, mask_scale=4)
        config = dict(type="DSFFHead", **sizes, dropout=0.0, with_cp=with_cp)
        made.append(mmseg.registry.MODELS.build(config).double().train())
    inputs = [torch.randn(*shape, dtype=torch.float64) for shape in ((2, 12, 4, 4), (2, 10, 2, 2), (19, 10))]
    index = torch.arange(19) % 2
    found, saved = [], []
    for head in made:
        kept = []
        detail, semantic, queries = (x.clone().requires_grad_() for x in inputs)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, kept=kept: kept.append(x.nbytes) or x, lambda x: x
        ):
            masks = head.decode(head.encode(detail, semantic), queries, index)
        masks.square().mean().backward()
        saved.append(sum(kept))
        found.append([masks, *(x.grad for x in (detail, semantic, queries, *head.parameters()))])
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(again, plain)
    assert saved[1] < saved[0] / 2

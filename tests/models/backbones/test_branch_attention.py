"""Against the stock language model of transformers under one dense mask, written out by its definition."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, GraniteConfig, LlamaConfig, Qwen2Config

from mmseg_mllm.models.backbones.branch_attention import branch_attention, use_branch_attention
from mmseg_mllm.models.backbones.sequence_layout import Branch, pack

IMAGE = 3
SIZES = dict(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    initializer_range=0.3,
)
CONFIGS = dict(
    qwen2=Qwen2Config,
    llama=LlamaConfig,
    # Attention scores are scaled by what the config says, not by the root of the heads' width.
    granite=partial(GraniteConfig, attention_multiplier=0.7),
)


def branch(first, length):
    return Branch(ids=[(first + i) % 50 for i in range(length)], slots=[length])


BRANCHES = [[branch(5, 3), branch(17, 7), branch(40, 1)], [], [branch(9, 4)]]


def dense_mask(lengths, prefix, *, window=99, both_ways=()):
    """(L, L) for B prefixes and per image the lengths of its branches."""
    owners = [(b, None, i) for b in range(len(lengths)) for i in range(prefix)]
    owners += [
        (b, k, prefix + i) for b, image in enumerate(lengths) for k, n in enumerate(image) for i in range(n)
    ]
    mask = torch.zeros(len(owners), len(owners), dtype=torch.bool)
    for q, (image, own, place) in enumerate(owners):
        for k, (other, theirs, there) in enumerate(owners):
            before = there <= place or (place in both_ways and there in both_ways)
            mask[q, k] = image == other and theirs in (None, own) and before and place - there < window
    return mask


def make_model(kind, attention):
    torch.manual_seed(0)
    config = CONFIGS[kind](**SIZES)
    model = AutoModel.from_config(config, attn_implementation="sdpa").eval()
    if attention == "branches":
        use_branch_attention(model)
    return model


def run(model, layout, **kwargs):
    embeds = model.embed_tokens(layout.input_ids)[None].detach()
    # Of each image other ones, though the tokens are the same.
    generator = torch.Generator().manual_seed(1)
    embeds[:, layout.image_positions] = torch.randn(*layout.image_positions.shape, 32, generator=generator)
    embeds.requires_grad_()
    out = model(inputs_embeds=embeds, position_ids=layout.position_ids, **kwargs).last_hidden_state
    out.square().sum().backward()
    return out, embeds.grad


@pytest.mark.parametrize("kind", [*CONFIGS])
@pytest.mark.parametrize("branches", [BRANCHES, [[branch(5, 3)]], [[], []]], ids=["ragged", "one", "none"])
def test_it_is_a_dense_mask(kind, branches):
    layout = pack(prefix=[1, IMAGE, IMAGE, 2], branches=branches, image_token_id=IMAGE)
    mask = dense_mask([[len(b.ids) for b in image] for image in branches], prefix=4)
    wanted = run(make_model(kind, "sdpa"), layout, attention_mask=mask[None, None])
    grid = layout.grid
    found = run(make_model(kind, "branches"), layout, attention_mask=grid.mask(), grid=grid)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("window", [2, 4, 6, 20])
def test_layers_that_see_the_nearest_tokens_alone(window, both_ways, monkeypatch):
    kinds = dict(layer_types=["sliding_attention", "full_attention"], use_sliding_window=True)
    monkeypatch.setitem(CONFIGS, "sliding", partial(Qwen2Config, **kinds, sliding_window=window))
    prefix = [1, IMAGE, IMAGE, IMAGE, 2]
    layout = pack(prefix=prefix, branches=BRANCHES, image_token_id=IMAGE, both_ways=both_ways)
    lengths, image = [[len(b.ids) for b in own] for own in BRANCHES], (1, 2, 3) if both_ways else ()
    masks = {
        f"{kind}_attention": dense_mask(lengths, prefix=5, window=seen, both_ways=image)[None, None]
        for kind, seen in (("sliding", window), ("full", 99))
    }
    wanted = run(make_model("sliding", "sdpa"), layout, attention_mask=masks)
    grid = layout.grid
    found = run(make_model("sliding", "branches"), layout, attention_mask=grid.mask(), grid=grid)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_heads_that_share_keys_are_plain_softmax_over_repeated_keys(kv_heads, monkeypatch):
    layout = pack(prefix=[1, IMAGE, IMAGE, 2], branches=BRANCHES, image_token_id=IMAGE)
    length = len(layout.input_ids)
    torch.manual_seed(0)
    inputs = [torch.randn(1, n, length, 8, requires_grad=True) for n in (6, kv_heads, kv_heads)]
    weight = torch.randn(1, length, 6, 8)
    query, key, value = inputs
    keys, values = (x.repeat_interleave(6 // kv_heads, dim=1) for x in (key, value))
    mask = dense_mask([[len(b.ids) for b in image] for image in BRANCHES], prefix=4)
    scores = (query @ keys.mT * 0.3).masked_fill(~mask, -torch.inf)
    wanted = (scores.softmax(dim=-1) @ values).transpose(1, 2)
    heads_of_keys = []
    sdpa = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda q, k, v, **kwargs: heads_of_keys.append(k.shape[1]) or sdpa(q, k, v, **kwargs),
    )
    module = torch.nn.Module()
    module.num_key_value_groups = 6 // kv_heads
    found, _ = branch_attention(module, *inputs, layout.grid.mask(), layout.grid, scaling=0.3)
    torch.testing.assert_close(found, wanted)
    gradients = (torch.autograd.grad((out * weight).sum(), inputs) for out in (found, wanted))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert heads_of_keys == [kv_heads, kv_heads]


def test_without_a_grid_it_is_sdpa():
    ids = torch.arange(5, 25).view(2, 10)
    padded = torch.ones(2, 10, dtype=torch.long)
    padded[0, :4] = 0
    out = [make_model("qwen2", name)(ids, attention_mask=padded)[0] for name in ("sdpa", "branches")]
    torch.testing.assert_close(*out)


def flops(branches):
    """Of a forward pass over images with these branches."""
    layout = pack(prefix=[1, IMAGE, 2], branches=branches, image_token_id=IMAGE).to("meta")
    with torch.device("meta"):
        model = make_model("qwen2", "branches")
    with FlopCounterMode(display=False) as counter:
        model(
            inputs_embeds=model.embed_tokens(layout.input_ids)[None],
            position_ids=layout.position_ids,
            attention_mask=layout.grid.mask(),
            grid=layout.grid,
        )
    return counter.get_total_flops()


def test_work_grows_with_the_branches_and_not_with_their_square():
    one = [branch(5, 6)]
    further = flops([one * 2]) - flops([one])
    assert further > 0
    assert flops([one * 64]) - flops([one]) == 63 * further


def test_images_with_few_branches_pay_for_theirs_alone():
    many, few = [branch(5, 6)] * 9, [branch(17, 6)]
    assert flops([many, few, []]) == flops([many]) + flops([few]) + flops([[]])

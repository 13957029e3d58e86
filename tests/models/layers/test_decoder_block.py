"""DecoderBlock against ``torch.nn.TransformerDecoder``, which the authors' code calls."""

import pytest
import torch
from torch import nn

from mmseg_mllm.models.layers import DecoderBlock

C, HEADS, HIDDEN, B, L = 24, 4, 40, 3, 10
MEMORY_TOKENS = pytest.mark.parametrize("memory_tokens", [1, 2, 7])


@pytest.fixture(autouse=True)
def double_precision():
    """Rounding is far below every tolerance here."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torch_name(name):
    """Name of a tensor of DecoderBlock in ``nn.TransformerDecoder``."""
    module, rest = name.split(".", 1)
    torch_module = dict(cross_attn="layers.0.multihead_attn", final_norm="norm")
    return f"{torch_module.get(module, f'layers.0.{module}')}.{rest}"


def make_pair(dropout=0.1):
    """A DecoderBlock with random weights, norms and biases included, and torch's decoder with the same."""
    torch.manual_seed(0)
    block = DecoderBlock(channels=C, num_heads=HEADS, feedforward_channels=HIDDEN, dropout=dropout)
    with torch.no_grad():
        for param in block.parameters():
            param.add_(0.2 * torch.randn_like(param))
    layer = nn.TransformerDecoderLayer(C, HEADS, HIDDEN, dropout=dropout, activation="relu", batch_first=True)
    reference = nn.TransformerDecoder(layer, num_layers=1, norm=nn.LayerNorm(C))
    reference.load_state_dict({torch_name(name): tensor for name, tensor in block.state_dict().items()})
    return block, reference


def make_inputs(memory_tokens):
    return torch.randn(B, L, C), torch.randn(B, memory_tokens, C)


@MEMORY_TOKENS
def test_equals_torch_in_eval(memory_tokens):
    block, reference = (module.eval() for module in make_pair())
    tokens, memory = make_inputs(memory_tokens)
    out = block(tokens, memory)
    assert out.shape == (B, L, C)
    torch.testing.assert_close(out, reference(tokens, memory), rtol=0, atol=1e-10)


@MEMORY_TOKENS
def test_equals_torch_in_training(memory_tokens):
    """Dropout is drawn at the same places, for each position alone, and in the same order.

    For one sequence: torch's module has the sequence first in memory, and draws in that order.
    """
    block, reference = (module.train() for module in make_pair(dropout=0.3))
    tokens, memory = (sequence[:1] for sequence in make_inputs(memory_tokens))
    torch.manual_seed(1)
    out = block(tokens, memory)
    torch.manual_seed(1)
    torch.testing.assert_close(out, reference(tokens, memory), rtol=0, atol=1e-10)
    assert (out - block.eval()(tokens, memory)).abs().mean() > 0.1


@MEMORY_TOKENS
def test_gradients_equal_torch(memory_tokens):
    block, reference = (module.eval() for module in make_pair())
    tokens, memory = make_inputs(memory_tokens)
    upstream = torch.randn(B, L, C)
    leaves = [(tokens.clone().requires_grad_(), memory.clone().requires_grad_()) for _ in range(2)]
    for module, (leaf_tokens, leaf_memory) in zip((block, reference), leaves, strict=True):
        module(leaf_tokens, leaf_memory).backward(upstream)
    for leaf, expected in zip(*leaves, strict=True):
        torch.testing.assert_close(leaf.grad, expected.grad, rtol=1e-8, atol=1e-10)
    expected = {name: param.grad for name, param in reference.named_parameters()}
    for name, param in block.named_parameters():
        torch.testing.assert_close(param.grad, expected[torch_name(name)], rtol=1e-8, atol=1e-10, msg=name)


def test_single_memory_token_trains_the_value_projection_alone():
    block = make_pair(dropout=0.0)[0].train()
    block(*make_inputs(1)).square().sum().backward()
    query, key, value = block.cross_attn.in_proj_weight.grad.chunk(3)
    assert not query.any()
    assert not key.any()
    assert value.abs().max() > 1e-2


@MEMORY_TOKENS
def test_first_half_serves_many_memories(memory_tokens):
    block = make_pair()[0].eval()
    tokens = torch.randn(1, L, C)
    memories = torch.randn(4, memory_tokens, C)
    halves = block.attend_memory(block.attend_self(tokens).expand(4, -1, -1), memories)
    for half, memory in zip(halves, memories, strict=True):
        torch.testing.assert_close(half, block(tokens, memory[None])[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("index", [[0, 0, 2, 1], [1], []])
def test_many_vectors_meet_shared_tokens(index, training):
    """Against the plain second half on repeated tokens, with gradients; features far from zero mean."""
    block, index = make_pair(dropout=0.0)[0].train(training), torch.tensor(index, dtype=torch.long)
    tokens = block.attend_self(torch.randn(3, L, C)).detach() + 20
    vectors = torch.randn(len(index), C)
    upstream = torch.randn(len(index), L, C)
    leaves = [(tokens.clone().requires_grad_(), vectors.clone().requires_grad_()) for _ in range(2)]
    outs = [
        block.attend_vectors(leaves[0][0], leaves[0][1], index),
        block.attend_memory(leaves[1][0][index], leaves[1][1].unsqueeze(1)),
    ]
    torch.testing.assert_close(*outs, rtol=0, atol=1e-9)
    for out in outs:
        out.backward(upstream)
    for leaf, expected in zip(*leaves, strict=True):
        torch.testing.assert_close(leaf.grad, expected.grad, rtol=1e-7, atol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_vectors_that_nearly_cancel_their_tokens_in_mixed_precision(dtype):
    """The variance is a small difference of large numbers there, which bfloat16 loses."""
    exact, block = make_pair()[0].eval(), make_pair()[0].float().eval()
    vectors, index = torch.randn(4, C), torch.tensor([0, 1, 2, 0])
    shift = exact.cross_attn(vectors[:, None], vectors[:, None], vectors[:, None])[0]
    tokens = (0.1 * torch.randn(B, L, C) - shift[:B]).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block.attend_vectors(tokens, vectors.float(), index)
    wanted = exact.attend_memory(tokens.double()[index], vectors[:, None])
    assert (found - wanted).abs().mean() < 0.045
    assert wanted.abs().mean() > 0.5


@torch.no_grad()
def test_a_block_that_is_bfloat16_itself():
    """Each part, and the quick way beside the plain one."""
    exact, block = make_pair()[0].eval(), make_pair()[0].to(torch.bfloat16).eval()
    tokens, index = torch.randn(B, L, C), torch.tensor([0, 2, 2, 1])
    vectors = torch.randn(len(index), C)
    found = block.attend_vectors(block.attend_self(tokens.bfloat16()), vectors.bfloat16(), index)
    wanted = exact(tokens[index], vectors[:, None])
    assert found.dtype is torch.bfloat16
    assert (found - wanted).abs().mean() < 0.02 < 0.5 < wanted.abs().mean()
    plain = block(tokens.bfloat16()[index], vectors.bfloat16()[:, None])
    assert (found - wanted).abs().mean() < 1.2 * (plain - wanted).abs().mean()


def test_fewer_keys_in_self_attention():
    block = make_pair()[0].eval()
    tokens, keys = make_inputs(4)
    attended = block.self_attn(tokens, keys, keys)[0]
    torch.testing.assert_close(
        block.attend_self(tokens, keys=keys), block.norm1(tokens + attended), rtol=0, atol=1e-10
    )


def test_batch_of_nothing():
    block = make_pair()[0].train()
    out = block(torch.zeros(0, L, C), torch.zeros(0, 1, C))
    out.sum().backward()
    assert out.shape == (0, L, C)
    assert all(not param.grad.any() for param in block.parameters())

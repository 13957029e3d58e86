import torch
from transformers import AutoConfig

from mmseg_mllm.conversion.links import GroupedRows, StackedRows, internvl_links


def test_grouped_rows_are_those_of_internlm2():
    """Per key-value head: its query heads, its key, its value; here one number per row."""
    rows = GroupedRows(kv_heads=2, queries_per_group=3, head_dim=2)
    names = []
    for group in range(2):
        names += [f"q{group * 3 + i}.{d}" for i in range(3) for d in range(2)]
        names += [f"{part}{group}.{d}" for part in "kv" for d in range(2)]
    index = {name: i for i, name in enumerate(names)}
    fused = torch.arange(len(names), dtype=torch.float32)[:, None] * torch.ones(1, 5)
    queries, keys, values = rows.split(fused)
    assert queries[:, 0].tolist() == [index[f"q{head}.{d}"] for head in range(6) for d in range(2)]
    assert keys[:, 0].tolist() == [index[f"k{head}.{d}"] for head in range(2) for d in range(2)]
    assert values[:, 4].tolist() == [index[f"v{head}.{d}"] for head in range(2) for d in range(2)]
    assert torch.equal(rows.join([queries, keys, values]), fused)
    assert torch.equal(rows.join(rows.split(fused[:, 0])), fused[:, 0])


def test_stacked_rows():
    fused = torch.arange(12.0).view(6, 2)
    queries, keys, values = StackedRows().split(fused)
    assert queries.tolist() == [[0, 1], [2, 3]]
    assert values.tolist() == [[8, 9], [10, 11]]
    assert torch.equal(StackedRows().join([queries, keys, values]), fused)


def test_names_of_internlm2():
    config = AutoConfig.for_model("internvl", text_config=dict(model_type="llama"))
    names = [
        "model.vision_tower.encoder.layer.3.attention.q_proj.bias",
        "model.vision_tower.encoder.layer.3.attention.k_proj.bias",
        "model.vision_tower.encoder.layer.3.attention.v_proj.bias",
        "model.language_model.layers.7.mlp.down_proj.weight",
        "lm_head.weight",
    ]
    links = {link.original: link.native for link in internvl_links(names, config=config)}
    assert links == {
        "vision_model.encoder.layers.3.attn.qkv.bias": tuple(names[:3]),
        "language_model.model.layers.7.feed_forward.w2.weight": (names[3],),
        "language_model.output.weight": (names[4],),
    }

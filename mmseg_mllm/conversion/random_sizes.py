"""Original configs of InternVL2.5's and 3.5's sizes, and of one small enough to try everything in seconds."""

_VISION = dict(
    model_type="intern_vit_6b",
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    hidden_act="gelu",
    layer_norm_eps=1e-6,
    image_size=448,
    patch_size=14,
    norm_type="layer_norm",
    qkv_bias=True,
    qk_normalization=False,
)
_LLM = dict(hidden_act="silu", max_position_embeddings=32768, rope_theta=1e6, tie_word_embeddings=False)
_QWEN2 = dict(_LLM, model_type="qwen2", architectures=["Qwen2ForCausalLM"], rms_norm_eps=1e-6)
_QWEN3 = dict(
    _LLM,
    model_type="qwen3",
    architectures=["Qwen3ForCausalLM"],
    rms_norm_eps=1e-6,
    head_dim=128,
    attention_bias=False,
    num_key_value_heads=8,
    vocab_size=151936,
)
_INTERNLM2 = dict(
    _LLM,
    model_type="internlm2",
    architectures=["InternLM2ForCausalLM"],
    rms_norm_eps=1e-5,
    bias=False,
    rope_scaling=dict(type="dynamic", factor=2.0),
)
SIZES = {
    "tiny": dict(
        _QWEN2,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1022,
    ),
    "1b": dict(
        _QWEN2,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=151674,
    ),
    "2b": dict(
        _INTERNLM2,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=8,
        vocab_size=92553,
    ),
    "4b": dict(
        _QWEN2,
        hidden_size=2048,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
        vocab_size=151674,
    ),
    "8b": dict(
        _INTERNLM2,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=92553,
    ),
    "3.5-1b": dict(
        _QWEN3, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16
    ),
    "3.5-4b": dict(
        _QWEN3, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32
    ),
    "3.5-8b": dict(
        _QWEN3, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32
    ),
}
"""Language models of InternVL2.5 and 3.5 in their original configs; 'tiny' has the sizes of
internvl_tiny_toy.py."""
VISIONS = {
    "tiny": dict(
        _VISION,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=96,
        patch_size=8,
    ),
}
"""Vision towers of sizes that have another than InternVL2.5's."""
NEW_TOKENS = ("[SEG]", "[REJ]")
"""MLLMSeg's weights have rows for them, InternVL's have not."""


def original_config(llm: dict, *, vision: dict | None = None) -> dict:
    """``config.json`` of an original folder with this language model."""
    return dict(
        model_type="internvl_chat",
        architectures=["InternVLChatModel"],
        downsample_ratio=0.5,
        select_layer=-1,
        ps_version="v2",
        template="internvl2_5",
        use_llm_lora=0,
        vision_config=_VISION if vision is None else vision,
        llm_config=llm,
    )

_base_ = [
    "../_base_/models/qwen3vl.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/Qwen3-VL-2B-Instruct",
        arch=dict(
            tie_word_embeddings=True,
            vision_config=dict(out_hidden_size=2048),
            text_config=dict(
                hidden_size=2048,
                num_hidden_layers=28,
                num_attention_heads=16,
                intermediate_size=6144,
                tie_word_embeddings=True,
            ),
        ),
    )
)

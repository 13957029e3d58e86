_base_ = [
    "../_base_/models/qwen3vl.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/Qwen3-VL-4B-Instruct",
        arch=dict(
            tie_word_embeddings=True,
            vision_config=dict(out_hidden_size=2560),
            text_config=dict(
                hidden_size=2560,
                num_hidden_layers=36,
                num_attention_heads=32,
                intermediate_size=9728,
                tie_word_embeddings=True,
            ),
        ),
    )
)

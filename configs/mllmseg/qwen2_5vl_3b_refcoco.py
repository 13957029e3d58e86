_base_ = [
    "../_base_/models/qwen2_5vl.py",
    "../_base_/datasets/refcoco_family.py",
    "../_base_/schedules/mllmseg_50k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(
        pretrained="./pretrained/Qwen2.5-VL-3B-Instruct",
        arch=dict(
            tie_word_embeddings=True,
            vision_config=dict(out_hidden_size=2048),
            text_config=dict(
                hidden_size=2048,
                num_hidden_layers=36,
                num_attention_heads=16,
                num_key_value_heads=2,
                intermediate_size=11008,
                vocab_size=151936,
                tie_word_embeddings=True,
            ),
        ),
    )
)

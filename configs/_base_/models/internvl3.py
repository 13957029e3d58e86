# InternVL3: Qwen2.5. The vocabulary of InternVL (151,674) with [SEG] and [REJ]. The 1B's sizes were compared with its
# config.json, of the others the number of parameters with that of a published model on each.
_base_ = "./internvl_dsff.py"
model = dict(
    backbone=dict(
        arch=dict(
            text_config=dict(
                model_type="qwen2",
                rms_norm_eps=1e-6,
                rope_parameters=dict(rope_type="default", rope_theta=1e6),
                vocab_size=151676,
            )
        )
    )
)

# InternVL3: Qwen2.5. The vocabulary of InternVL (151,674) with [SEG] and [REJ]. Its sizes were not compared
# with the published config.json.
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

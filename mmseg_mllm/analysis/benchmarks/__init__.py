"""Times of the model and the data pipeline, each beside the plain way to the same result."""

from mmseg_mllm.lazy import lazy_names

MODES = {
    "inference": "model_modes",
    "predictor": "model_modes",
    "training": "training_mode",
    "head": "head_mode",
    "compiled": "compiled_mode",
    "growth": "growth_mode",
    "sentences": "sentences_mode",
    "pipeline": "pipeline_mode",
}
"""Modes, and the module of this package that has the function of that name."""

__getattr__, __dir__, __all__ = lazy_names(
    __name__, as_json="report", make_setting="modes", run_benchmark="modes", tables="report"
)

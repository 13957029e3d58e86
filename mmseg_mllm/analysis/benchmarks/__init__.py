"""Times of the model and the data pipeline, each beside the plain way to the same result."""

from mmseg_mllm.analysis.benchmarks.modes import MODES, make_setting, run_benchmark
from mmseg_mllm.analysis.benchmarks.report import as_json, notes, tables

__all__ = ["MODES", "as_json", "make_setting", "notes", "run_benchmark", "tables"]

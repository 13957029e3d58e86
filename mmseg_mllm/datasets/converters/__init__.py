from mmseg_mllm.datasets.converters.parquet import parquet_to_json
from mmseg_mllm.datasets.converters.reason_seg import reason_seg_to_json

__all__ = ["parquet_to_json", "reason_seg_to_json"]

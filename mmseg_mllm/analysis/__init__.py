from mmseg_mllm.analysis.complexity import build_on_meta, count_flops, count_parameters

__all__ = ["build_on_meta", "count_flops", "count_parameters"]

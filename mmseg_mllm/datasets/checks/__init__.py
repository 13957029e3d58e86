from mmseg_mllm.datasets.checks.check import check_refer

__all__ = ["check_refer"]

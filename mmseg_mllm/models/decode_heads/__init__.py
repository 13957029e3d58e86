from mmseg_mllm.models.decode_heads.dsff_head import DSFFHead

__all__ = ["DSFFHead"]

from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    MLLMBackbone="mllm_backbone",
    build_tiny_tokenizer="tiny_tokenizer",
)

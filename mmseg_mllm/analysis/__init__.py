from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    build_on_meta="complexity",
    count_flops="complexity",
    count_parameters="complexity",
)

"""Models by name: folders, packaged ones, and those of the Hugging Face hub."""

from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, ModelSource="source", find_model="source")

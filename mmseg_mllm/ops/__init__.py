from .dysample import DySample, dysample

__all__ = ["DySample", "dysample"]

"""Pretraining a small MLLM with text alone; in a config ``custom_imports`` names this package too."""

from .dataset import ToyChatDataset
from .metric import AnswerMetric
from .model import MLLMChat
from .optimizer import MuonConstructor

__all__ = ["AnswerMetric", "MLLMChat", "MuonConstructor", "ToyChatDataset"]

"""Which of a model's tensors stand in its files."""

from torch import Tensor
from transformers import PreTrainedModel


def stored_tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    """State dict in which tied weights stand once, as transformers stores them; the model may be on meta."""
    once = {name for name, _ in model.named_parameters()}
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}

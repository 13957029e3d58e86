"""The mask decoder as the authors' checkpoints have it."""

from collections.abc import Mapping

from torch import Tensor

from mmseg_mllm.conversion.head_names import HEAD_NAMES


def official_state(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ``DSFFHead``'s tensors under the authors' names."""
    return {HEAD_NAMES[name]: tensor for name, tensor in state_dict.items()}

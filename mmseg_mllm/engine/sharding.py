"""A referring model in shards, by FSDP2: each process holds its rows of every parameter.

Checkpoints are those of whole models: what is saved is gathered, what is loaded is cut.
"""

import torch
from mmengine.config import Config
from mmengine.utils import apply_to
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from mmseg_mllm.engine.semseg import is_referring
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.quantization import move_scales
from mmseg_mllm.models.segmentors import MLLMSegmentor

INT8 = (
    "--shard and model.backbone.quantization='int8' do not go together: bitsandbytes keeps its weights "
    "outside of what is cut; take 'nf4'"
)


def check_shard(config: Config) -> None:
    """See that a model that ``shard`` asks to be cut can be.

    Raises:
        ConfigError: it can't.
    """
    if not config.get("shard"):
        return
    if config.launcher == "none":
        raise ConfigError(
            "--shard cuts the model over processes and there is one alone; start with tools/dist_train.sh or "
            "tools/dist_test.sh, or leave it out"
        )
    if not is_referring(config):
        raise ConfigError("--shard is for referring models; ordinary segmentors are small, leave it out")
    if config.model.get("backbone", {}).get("quantization") == "int8":
        raise ConfigError(INT8)
    for hook in config.get("custom_hooks") or []:
        if hook["type"] == "EMAHook":
            raise ConfigError("--shard: EMAHook can't copy a model that is cut; leave one of them out")


def is_sharded(model: nn.Module) -> bool:
    """Whether :func:`shard` was applied to a model."""
    return isinstance(model, FSDPModule)


def shard(model: MLLMSegmentor, *, device: str) -> None:
    """Cut a model's parameters by rows over all processes, in place.

    The layers of language model and vision tower are gathered one at a time while they run; all else
    (embeddings, heads, projector, mask decoder) for a whole step.

    Args:
        model: On the CPU or on the device; it goes to the device layer by layer, and is never whole there.
        device: 'cpu', 'cuda', ...
    """
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    for module in sharded_layers(model):
        fully_shard(module, mesh=mesh)
    # The root is a group too: clip_grad_norm_ takes no mixture of sharded and whole parameters.
    fully_shard(model, mesh=mesh)
    # A batch without a target on one process alone leaves parameters without a gradient there.
    model.set_reduce_scatter_unused_params(True)
    if device == "cpu":
        model.set_force_sum_reduction_for_comms(True)  # gloo has no other
    model.to(device)
    move_scales(model, device=device)


def sharded_layers(model: MLLMSegmentor) -> list[nn.Module]:
    """The layers of language model and vision tower, each a unit that is gathered when it runs."""
    names = model.backbone.model._no_split_modules
    return [module for module in model.modules() if type(module).__name__ in names]


def gather(model: MLLMSegmentor) -> None:
    """Make a sharded model whole on every process, until :func:`scatter`; all must call it.

    Answering takes another number of forward passes on each process; each of them would wait for the others.
    """
    model.set_reshard_after_forward(False)
    for module in _units(model):
        module.unshard()


def scatter(model: MLLMSegmentor) -> None:
    """Take :func:`gather` back."""
    for module in _units(model):
        module.reshard()
        module.set_reshard_after_forward(module is not model, recurse=False)


def whole_state(state: dict) -> dict:
    """A state dict of a sharded model or its optimiser as that of a whole one; all processes must call it.

    Returns:
        The same with whole tensors on the CPU; in processes but the first without tensors (None).
    """
    first = torch.distributed.get_rank() == 0

    def whole(tensor: Tensor) -> Tensor | None:
        tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        return tensor.cpu() if first else None

    return apply_to(state, torch.is_tensor, whole)


def sharded_weights(state: dict, model: MLLMSegmentor) -> dict:
    """A state dict of a whole model as one that the sharded model loads.

    Each process reads its own rows alone, where the tensors are mapped from a file.
    """
    own = model.state_dict()
    return {name: _rows_like(tensor, own.get(name)) for name, tensor in state.items()}


def sharded_moments(state: dict, optimizer: torch.optim.Optimizer) -> dict:
    """A state dict of a whole model's optimiser as one that the optimiser of the sharded model loads."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    owners = dict(zip(numbers, parameters, strict=False))  # the optimiser itself refuses another number
    moments = {
        number: {key: _rows_like(value, owners.get(number)) for key, value in kept.items()}
        for number, kept in state["state"].items()
    }
    return dict(state, state=moments)


def _units(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _rows_like(whole: Tensor, own: Tensor | None) -> Tensor:
    """This process's rows of a tensor, as a shard like ``own``; a shard or one of another shape stays."""
    if (
        isinstance(whole, DTensor)
        or not isinstance(own, DTensor)
        or not torch.is_tensor(whole)
        or whole.shape != own.shape
    ):
        return whole
    shape, offset = compute_local_shape_and_global_offset(own.shape, own.device_mesh, own.placements)
    places = tuple(slice(first, first + size) for first, size in zip(offset, shape, strict=True))
    rows = whole[places].to(own.device)
    return DTensor.from_local(
        rows, own.device_mesh, own.placements, run_check=False, shape=own.shape, stride=own.stride()
    )

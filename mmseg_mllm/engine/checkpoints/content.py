"""What a checkpoint of a training run holds."""

import copy
import time

import mmengine
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_mllm.engine.sharding import is_sharded, whole_state
from mmseg_mllm.models.frozen_base import KEY, base_record, kept_state

STEPS = "counts_steps"
"""Entry of ``meta``: iterations are steps of the optimiser. Runs of earlier versions that accumulated
gradients counted batches."""


def run_state(runner: Runner, *, optimizer: bool) -> dict[str, dict]:
    """``state_dict`` of the model without its frozen base, ``base`` if there is one, ``optimizer`` if asked
    for.

    Called in every process; the result of the main one is written. The tensors are the run's own; those of a
    sharded model are gathered.
    """
    model = bare_model(runner)
    record = base_record(model)
    state: dict[str, dict] = dict(state_dict=kept_state(model))
    if record is not None:
        state[KEY] = record
    if optimizer:
        state["optimizer"] = runner.optim_wrapper.state_dict()
    return whole_state(state) if is_sharded(model) else state


def checkpoint_content(runner: Runner, *, optimizer: bool, schedulers: bool, meta: dict) -> dict:
    """A whole checkpoint in memory, in mmengine's layout. Called in every process.

    Args:
        runner: Of the run.
        optimizer: Keep the optimiser's state, so that a run can go on.
        schedulers: Keep that of the schedules.
        meta: ``epoch`` and ``iter`` that are done.
    """
    content = dict(
        meta=dict(
            meta,
            cfg=runner.cfg.pretty_text,
            seed=runner.seed,
            experiment_name=runner.experiment_name,
            time=time.strftime("%Y%m%d_%H%M%S"),
            mmengine_version=mmengine.__version__,
            **{STEPS: True},
        ),
        message_hub=copy.deepcopy(runner.message_hub.state_dict()),
        **run_state(runner, optimizer=optimizer),
    )
    metainfo = getattr(runner.train_dataloader.dataset, "metainfo", None)
    if metainfo is not None:
        content["meta"]["dataset_meta"] = metainfo
    if schedulers and runner.param_schedulers is not None:
        content["param_schedulers"] = copy.deepcopy(_states(runner.param_schedulers))
    runner.call_hook("before_save_checkpoint", checkpoint=content)
    return content


def bare_model(runner: Runner) -> nn.Module:
    """The model without what wraps it for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def tensor_bytes(content: object) -> int:
    """Size of all tensors in a checkpoint."""
    if isinstance(content, Tensor):
        return content.nbytes
    parts = content.values() if isinstance(content, dict) else content
    return sum(map(tensor_bytes, parts)) if isinstance(content, dict | list | tuple) else 0


def on_host(content: object, *, copied: bool) -> object:
    """The same with its tensors on the CPU.

    Args:
        content: Of dicts, lists, tuples and anything else.
        copied: Also copy those that are there, so that training may go on.
    """
    if isinstance(content, Tensor):
        host = content.detach().cpu()
        # A view would be written with all that it is a view of.
        whole = host.untyped_storage().nbytes() == host.nbytes
        return host.clone() if not whole or (copied and content.device.type == "cpu") else host
    if isinstance(content, dict):
        result = copy.copy(content)  # an OrderedDict keeps its _metadata
        result.update({key: on_host(value, copied=copied) for key, value in content.items()})
        return result
    if isinstance(content, list | tuple):
        return type(content)(on_host(value, copied=copied) for value in content)
    return content


def _states(schedulers: list | dict) -> list | dict:
    if isinstance(schedulers, dict):
        return {name: _states(own) for name, own in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]


def room_needed(model: nn.Module, *, optimizer: bool) -> int:
    """About how many bytes a checkpoint will take, before there is an optimiser's state: Adam's two
    moments."""
    kept = sum(tensor.nbytes for tensor in kept_state(model).values())
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return kept + (2 * trained if optimizer else 0)

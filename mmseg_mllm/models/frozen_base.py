"""The frozen base of a model: left out of its checkpoints, known again when they are loaded."""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from mmseg_mllm.errors import CheckpointError

KEY = "base"
"""Entry of a checkpoint that says on which base it was trained; a checkpoint without it is whole."""
PREFIX = "backbone.model."
SAMPLES = 16
"""Numbers of each tensor that are compared."""


def base_entries(model: nn.Module) -> list[str]:
    """Names in ``model.state_dict()`` that its base gives back: all of it that is neither trained nor a
    buffer.

    None where the base can't be loaded again, as of random weights.
    """
    if _base_name(model) is None:
        return []
    mllm = model.backbone.model
    trained = {name for name, p in mllm.named_parameters(remove_duplicate=False) if p.requires_grad}
    buffers = {name for name, _ in mllm.named_buffers(remove_duplicate=False)}
    return [PREFIX + name for name in mllm.state_dict() if name not in trained | buffers]


def kept_state(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint holds of a model: its state without the base. The tensors are the model's own."""
    left_out = set(base_entries(model))
    return {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}


def base_record(model: nn.Module) -> dict | None:
    """The identity of a model's base; None where there is none to leave out.

    Returns:
        ``name`` as in the config, ``revision`` of a hub name, ``dtype`` of its weights, ``shapes`` by names,
        and ``values`` (len(shapes), 16) bfloat16, numbers spread over each tensor. Quantised weights have
        neither shape nor values: their base is known by all others. Their scales are left out, so that
        the base is the same quantised or not.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = [name for name in base_entries(model) if name in parameters]
    if not names:
        return None
    plain = {name: parameters[name] for name in names if _is_plain(parameters.get(name))}
    return dict(
        name=_base_name(model),
        revision=getattr(model.backbone.model.config, "_commit_hash", None),
        dtype=str(next(iter(plain.values())).dtype).removeprefix("torch."),
        shapes={name: tuple(plain[name].shape) if name in plain else None for name in names},
        values=_samples([plain.get(name) for name in names]),
    )


def add_base(checkpoint: dict, model: nn.Module, *, where: str) -> None:
    """Complete a checkpoint without its base by the tensors of the model, which was built on it.

    A whole checkpoint stays as it is, but for weights that the model holds quantised. Where its base is
    another than that of the model, the model is told to have none that could be loaded again.

    Args:
        checkpoint: Changed in place.
        model: Not changed.
        where: Named in errors.

    Raises:
        CheckpointError: the checkpoint was trained on another base.
    """
    record = checkpoint.get(KEY)
    if record is None:
        own, given = base_record(model), checkpoint.get("state_dict", checkpoint)
        if own and _differing(own, given):
            model.backbone.base_name = None
        elif own and None in own["shapes"].values():
            state = model.state_dict()
            given.update({n: state[n] for n in base_entries(model) if own["shapes"].get(n) is None})
        return
    if _base_name(model) is None:
        raise CheckpointError(
            f"{where}: holds what was trained on {_named(record)}, without that; set "
            "model.backbone.pretrained to where it is"
        )
    state = model.state_dict()
    different = _differing(record, state)
    if different:
        own = dict(
            name=_base_name(model), revision=getattr(model.backbone.model.config, "_commit_hash", None)
        )
        raise CheckpointError(
            f"{where}: was trained on {_named(record)}, this run is built on {_named(own)}, which is another "
            f"base: {len(different)} of {len(record['shapes'])} tensors differ, such as {different[0]}. Set "
            "model.backbone.pretrained to the base that it was trained on"
        )
    given = checkpoint["state_dict"]
    for name in {*record["shapes"], *base_entries(model)} - given.keys():
        given[name] = state[name]


def _base_name(model: nn.Module) -> str | None:
    return getattr(getattr(model, "backbone", None), "base_name", None)


def _named(record: dict) -> str:
    return f"'{record['name']}'" + (f" (revision {record['revision']})" if record["revision"] else "")


def _differing(record: dict, state: dict[str, Tensor]) -> list[str]:
    """Names of a record's tensors that are others in a state.

    One number in a tensor may be rounded otherwise: an adapter that was merged on another device.
    """
    names = list(record["shapes"])
    found = [state.get(name) for name in names]
    missing = [name for name, tensor in zip(names, found, strict=True) if tensor is None]
    if missing:
        return missing
    comparable = [
        n for n, name in enumerate(names) if record["shapes"][name] is not None and _is_plain(found[n])
    ]
    shapes = [names[n] for n in comparable if tuple(found[n].shape) != tuple(record["shapes"][names[n]])]
    if shapes or not comparable:
        return shapes
    values = _samples([found[n] for n in comparable])
    others = (values != record["values"][comparable]).sum(dim=1) > 1
    return [names[comparable[n]] for n in others.nonzero().flatten().tolist()]


def _is_plain(tensor: Tensor | None) -> bool:
    """Numbers as they are: no packed ones of a quantised weight."""
    return type(tensor) in (Tensor, nn.Parameter, DTensor) and tensor.is_floating_point()


def _samples(tensors: list[Tensor | None]) -> Tensor:
    """(len(tensors), 16) bfloat16 on the CPU: the same whether a tensor is in 16 bit or in 32; zeros for
    None."""
    rows = []
    for tensor in tensors:
        if tensor is None or not tensor.numel():
            rows.append(torch.zeros(SAMPLES, dtype=torch.bfloat16))
            continue
        if isinstance(tensor, DTensor):  # one at a time; the whole base would not fit
            tensor = tensor.full_tensor()
        places = torch.linspace(0, tensor.numel() - 1, SAMPLES, dtype=torch.float64).long()
        rows.append(tensor.detach().reshape(-1)[places.to(tensor.device)].bfloat16())
    device = next((row.device for row in rows if row.device.type != "cpu"), torch.device("cpu"))
    return torch.stack([row.to(device) for row in rows]).cpu()

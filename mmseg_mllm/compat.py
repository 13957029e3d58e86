"""Every workaround for a release of another package: one function each, why, and when it can go.

Those for mmcv-lite, bases of configs and bitsandbytes' log are in ``mmcv_lite.py``, ``packaged_configs.py``
and ``bitsandbytes_log.py``: they must be there before torch is imported.
"""

import contextlib
import inspect
import io
import logging
import pickle
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
import transformers
from huggingface_hub import errors as hub_errors
from mmengine.config import Config
from mmengine.logging.history_buffer import HistoryBuffer
from torch import nn

HubTransportError = hub_errors.HTTPError
"""What the hub's client raises without an answer. It is of the HTTP library, which changes with its releases
(httpx, httpx2) and has no name of the client's own. Until it has."""


def import_mmpretrain_models() -> None:
    """Import MMPretrain's models without its multimodal ones.

    Those of mmpretrain 1.2.0 need transformers 4, and are imported wherever any transformers is installed.
    Can go when mmpretrain runs with transformers 5.

    Raises:
        ImportError: mmpretrain or torchvision is missing, or torchvision was built for another torch.
    """
    try:
        from mmpretrain.utils import dependency

        dependency.WITH_MULTIMODAL = False
        import mmpretrain.models  # noqa: F401
    except RuntimeError as error:  # operators of torchvision that torch does not find
        raise ImportError(f"torchvision does not fit torch {torch.__version__}: {error}") from error


def allow_mmengine_checkpoint_classes() -> None:
    """Let ``torch.load(weights_only=True)`` read what mmengine 0.10.7 stores beside the weights.

    Its message hub keeps ``HistoryBuffer`` objects made of NumPy arrays and scalars, with their statistics
    methods; torch >= 2.6 refuses them by default. Exactly these are allowed, and weights_only stays on. Can
    go when mmengine stores plain containers.
    """
    core = np._core if hasattr(np, "_core") else np.core
    dtypes = {type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")}
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, core.multiarray._reconstruct, core.multiarray.scalar, *dtypes]
    )
    # The pickle fetches the methods with getattr; what it gets under that name can fetch nothing else.
    torch.serialization.add_safe_globals([(_history_statistic, "builtins.getattr")])


def _history_statistic(owner: type, name: str) -> Callable:
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError(f"the checkpoint asks for {owner!r}.{name}, which is not a weight")
    return getattr(HistoryBuffer, name)


def init_cpu_process_group(launcher: str) -> None:
    """Start a gloo group before ``Runner`` does when there is no CUDA device.

    mmengine 0.10.7 calls ``torch.cuda.set_device`` for every PyTorch launcher; it leaves a running group
    alone. Can go when mmengine asks first.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi', as for ``Runner``. Only 'pytorch' (torchrun) is
            started here.
    """
    if launcher == "pytorch" and not torch.cuda.is_available() and not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend="gloo")


def wrap_for_cpu_processes(cfg: Config) -> None:
    """Keep ``DistributedDataParallel`` and ``SyncBatchNorm`` from asking for CUDA in CPU processes.

    mmengine 0.10.7 passes ``device_ids=[LOCAL_RANK]`` always, where DDP wants None for modules on the CPU,
    and synchronised batch norm exists for GPUs only. Can go when mmengine and torch ask first.
    """
    if torch.distributed.is_initialized() and not torch.cuda.is_available():
        cfg.sync_bn = None
        cfg.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel",
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get("find_unused_parameters", False),
        )


@contextlib.contextmanager
def quiet_upstream() -> Iterator[None]:
    """Silence notices of other packages that say nothing to a user of this one.

    mmseg's CrossEntropyLoss warns of a default even where it makes no difference, and its own ``build_loss``
    is deprecated by itself; mmengine tells how many threads it chose, and calls DDP with an old argument;
    transformers prints a bar for each shard it loads; peft reads a property that transformers renamed. Can go
    one by one with them.
    """
    verbosity, bar = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            for notice in (
                ".*avg_non_ignore.*",
                ".*build_loss.*",
                ".*NUM_THREADS.*",
                ".*broadcast_buffers.*",
                ".*is_gradient_checkpointing.*",
            ):
                warnings.filterwarnings("ignore", message=notice)
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bar:
            transformers.logging.enable_progress_bar()


@contextlib.contextmanager
def no_stub_files() -> Iterator[None]:
    """Keep Gradio 6.31 from writing a .pyi file into the package for each component that is defined there.

    Can go when it writes them on demand.
    """
    from gradio import component_meta

    write = component_meta.create_or_modify_pyi
    component_meta.create_or_modify_pyi = lambda *_: None
    try:
        yield
    finally:
        component_meta.create_or_modify_pyi = write


def pixel_shuffle(cells: torch.Tensor, scale: int) -> torch.Tensor:
    """``F.pixel_shuffle`` to one channel: (N, scale^2, H, W) -> (N, 1, scale * H, scale * W).

    The backward pass of torch 2.13's own fails for N = 0, a batch in which no expression has a target. Can
    go when it does not.
    """
    n, _, height, width = cells.shape
    blocks = cells.reshape(n, scale, scale, height, width).permute(0, 3, 1, 4, 2)
    return blocks.reshape(n, 1, scale * height, scale * width)


def drop_upstream_notices(record: logging.LogRecord) -> bool:
    """Filter of a log handler: leave out warnings of other packages where nothing is wrong.

    mmengine 0.10.7 warns of its checkpoint hook's own calls and of metrics without a prefix, such as mmseg's;
    mmseg 1.2.2 of test batches whose images had different sizes, which it resizes back one by one. mmengine
    counts batches where gradients are accumulated, the loop here steps. Can go one by one with them.
    """
    notices = (
        '"FileClient"',
        '"HardDiskBackend"',
        "The prefix is not set in metric class",
        "Image shapes are different in the batch.",
        "Resumed iteration number is not divisible",
    )
    return not any(notice in record.getMessage() for notice in notices)


def without_prints() -> contextlib.AbstractContextManager:
    """Keep what is printed off the console.

    mmengine 0.10.7 prints which backend loads a checkpoint, past all loggers. Can go when it logs that.
    """
    return contextlib.redirect_stdout(io.StringIO())


def enable_gradient_checkpointing(model: transformers.PreTrainedModel) -> None:
    """Recompute layers in the backward pass.

    transformers 5.23 renamed the method and warns at the old name, which 5.17 has alone. Can go when the
    oldest supported release has the new one.
    """
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable(dict(use_reentrant=False))


def cache_argument(model: transformers.PreTrainedModel, cache: transformers.Cache | None) -> dict:
    """The argument by which a language model takes its keys and values of positions before.

    transformers 5.24 renamed ``past_key_values``, which 5.40 will not take any more. Can go when the oldest
    supported release has the new name.
    """
    new = "cache" in inspect.signature(model.forward).parameters
    return {"cache" if new else "past_key_values": cache}


def adds_bos(tokenizer: transformers.PreTrainedTokenizerBase) -> bool:
    """Whether texts begin with the tokenizer's BOS token.

    transformers 5 forgets ``add_bos_token`` of a saved fast tokenizer; what is left of it is in the
    post-processor. Can go when the attribute is saved.
    """
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("")["input_ids"][:1] == [bos]


def keep_4bit_layout(linear: nn.Module) -> None:
    """Keep the weight of a ``Linear4bit`` as it was quantised.

    On CPUs with AVX-512's bfloat16, bitsandbytes 0.50 packs it anew at its first use in evaluation, with
    rounded scales, for a product in bfloat16 without gradients: training can't go on after a validation, and
    what is saved differs. Can go when it leaves the weight as it is.
    """
    linear.support_avx512bf16_for_cpu = False


def without_autocast(x: torch.Tensor) -> contextlib.AbstractContextManager:
    """No mixed precision on the tensor's device.

    ``torch.autocast`` of torch 2.13 knows no meta device. Can go when it does.
    """
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)

"""A validation that ends early where the run is to stop."""

from collections.abc import Iterator

from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg_mllm.engine import stop_signal


def validate(runner: Runner) -> None:
    """Run the validation loop; called in every process.

    A process that is told to stop leaves it after the batch it is in and waits for the others, which leave
    it likewise or, if they were told nothing, at its end. There are no figures then, and all have agreed to
    stop.
    """
    loop = runner.val_loop
    loader = loop.dataloader
    loop.dataloader = _UntilStopped(loader)
    try:
        loop.run()
    except _Stopped:
        runner.call_hook("after_val")
    finally:
        loop.dataloader = loader


class _Stopped(Exception):  # noqa: N818, no error
    pass


class _UntilStopped:
    """A DataLoader's batches until a process is told to stop."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[dict]:
        for batch in self._loader:
            yield batch
            if stop_signal.told():
                break
        # Once in each process, before figures are gathered from all.
        stop_signal.ask_all()
        if stop_signal.agreed():
            raise _Stopped

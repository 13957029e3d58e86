"""Reading images while the model works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mmseg_mllm.errors import MMSegMLLMError

Item, Result = TypeVar("Item"), TypeVar("Result")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], *, ahead: int
) -> Iterator[tuple[Item, Result | MMSegMLLMError]]:
    """Each item with what was read of it, or with the error that came instead, in order.

    Args:
        items: What to read.
        read: Runs in a thread of its own, one item at a time.
        ahead: How many results may wait.
    """
    items = iter(items)
    waiting: deque[tuple[Item, Future]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        try:
            while True:
                waiting.extend(
                    (item, pool.submit(read, item)) for item in islice(items, ahead - len(waiting))
                )
                if not waiting:
                    return
                item, future = waiting.popleft()
                error = future.exception()
                if error is not None and not isinstance(error, MMSegMLLMError):
                    raise error
                yield item, error or future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one maybe shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch

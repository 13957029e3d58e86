"""Reading and writing in threads of their own while the model works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_background(
    items: Iterable[Item], work: Callable[[Item], Result], *, ahead: int
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Each item with the work on it, in order.

    Args:
        items: What to work on; asked for one after the other by the thread that asks for the results.
        work: Runs in a thread of its own, on one item at a time.
        ahead: How many items are taken before the first one is given.
    """
    items = iter(items)
    waiting: deque[tuple[Item, Future]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="background") as pool:
        try:
            while True:
                more = islice(items, ahead - len(waiting))
                waiting.extend((item, pool.submit(work, item)) for item in more)
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            for _, future in waiting:  # where nobody wants them any more
                future.cancel()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one maybe shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch

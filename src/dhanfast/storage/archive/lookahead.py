"""Work done ahead on other cores, its results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from itertools import islice
from typing import TypeVar

Made = TypeVar("Made")


def in_order(
    tasks: Iterable[Callable[[], Made]], pool: Executor | None, ahead: int
) -> Generator[Made, None, None]:
    """Results of tasks in their order.

    No more than `ahead` tasks are begun beyond the one whose result was taken last, so what waits
    is bounded. An error of a task is raised in its turn, after the results before it. However the
    iteration ends, at its end, by an error or because it is closed early, none of its tasks is
    running when it has.

    Args:
        tasks: made one by one as there is room for them.
        pool: what works on them; None: the one who asks for a result does, when it asks.
        ahead: 1 or more with a pool.
    """
    if pool is None:
        for task in tasks:
            yield task()
        return
    waiting: deque[Future[Made]] = deque()
    source = iter(tasks)
    try:
        while True:
            waiting.extend(map(pool.submit, islice(source, ahead - len(waiting))))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        wait([future for future in waiting if not future.cancel()])

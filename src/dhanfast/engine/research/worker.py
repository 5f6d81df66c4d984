"""A process that runs trials for `pool.Processes`: `python -m dhanfast.engine.research.worker FD`.

It ends when its line does: a search that was killed leaves nobody behind.
"""

import gc
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from dhanfast.engine.research.pool import work
from dhanfast.engine.research.trial import Trials
from dhanfast.errors import DhanfastError


def serve(line: "Connection[Any, Any]") -> None:
    """Answer chunks until the line ends.

    Args:
        line: first gives (import path, job), then chunks; gets what `work` gives, or (error, 0).
    """
    try:
        path, job = line.recv()
    except (EOFError, OSError):
        return
    sys.path[:] = path
    bench: Trials | None = None
    while True:
        try:
            chunk = line.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, float]
        try:
            if bench is None:
                bench = job.bench()
                gc.collect()
                gc.freeze()  # what was imported stays: nobody needs to look through it again
            answer = work(bench, chunk)
        except Exception as error:
            answer = sendable(error), 0.0
        try:
            line.send(answer)
        except OSError:
            return


def sendable(error: Exception) -> Exception:
    """The error without its cause and trace: those may hold what cannot be sent."""
    try:
        made = type(error)(*error.args)
        pickle.dumps(made)
    except Exception:  # of a kind that only its maker can make
        return DhanfastError(f"{type(error).__name__}: {error}")
    return made


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the search itself ends us
    serve(Connection(int(sys.argv[1])))

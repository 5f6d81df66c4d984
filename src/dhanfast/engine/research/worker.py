"""A process that runs trials for `pool.Processes`: `python -m dhanfast.engine.research.worker FD`.

It ends when its line does: a search that was killed leaves nobody behind.
"""

import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from dhanfast.engine.research.pool import work
from dhanfast.engine.research.trial import Bench


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
    bench: Bench | None = None
    while True:
        try:
            chunk = line.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, float]
        try:
            bench = bench or Bench(job)
            answer = work(bench, chunk)
        except Exception as error:
            answer = _sendable(error), 0.0
        try:
            line.send(answer)
        except OSError:
            return


def _sendable(error: Exception) -> Exception:
    """The error without its cause and trace: those may hold what cannot be sent."""
    made = type(error)(*error.args)
    made.__cause__ = made.__traceback__ = None
    return made


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the search itself ends us
    serve(Connection(int(sys.argv[1])))

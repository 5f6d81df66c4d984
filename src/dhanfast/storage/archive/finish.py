"""Finish files nobody writes any more: cut a torn tail, then seal.

    python -m dhanfast.storage.archive.finish FILE...

Runs in a process of its own beside a recorder: sealing a day takes minutes, the ring does not wait.
A file that cannot be finished stays as it is and is named on standard error; exit code 1.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dhanfast.errors import DhanfastError
from dhanfast.storage.archive.repair import repair
from dhanfast.storage.archive.sealing import seal_file


def finish(path: Path) -> None:
    """Cut what is torn off, and seal; a sealed file is left alone.

    Raises:
        DhanfastError: a writer has it, or the disk refuses.
        BadData: it is foreign or damaged in the middle, which a person should look at first.
    """
    if not repair(path, tail_only=True).sealed:
        seal_file(path)


def start(paths: Sequence[Path]) -> "subprocess.Popen[bytes]":
    """Finish files in another process, at low priority; the caller waits for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "dhanfast.storage.archive.finish", *map(str, paths)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C at the recorder's terminal does not stop it half way
    )


def main(paths: Sequence[str]) -> int:
    """Finish each and return the exit code."""
    os.nice(10)
    wrong = 0
    for path in paths:
        try:
            finish(Path(path))
        except (DhanfastError, OSError) as error:
            print(error, file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

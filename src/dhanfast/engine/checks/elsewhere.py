"""The other process of `check strategy`: `python -m dhanfast.engine.checks.elsewhere`.

Its clocks are set three days off before anything of the strategy is imported, so that whoever reads
the machine's clock reads another one. It is told what to run on standard input, pickled by the
process that started it, and writes one line of JSON.
"""

import base64
import datetime
import json
import pickle
import sys
import time
from typing import Any, Final

OFF_S: Final = 3 * 86_400 + 7 * 3600 + 11 * 60 + 13


def set_clocks_off(seconds: int = OFF_S) -> None:
    """Move every clock of Python's own that a strategy may read."""
    time_of, time_ns_of = time.time, time.time_ns
    local_of, utc_of = time.localtime, time.gmtime
    time.time = lambda: time_of() + seconds
    time.time_ns = lambda: time_ns_of() + seconds * 10**9
    time.localtime = lambda at=None: local_of(time_of() + seconds if at is None else at)
    time.gmtime = lambda at=None: utc_of(time_of() + seconds if at is None else at)
    off = datetime.timedelta(seconds=seconds)
    true_datetime, true_date = datetime.datetime, datetime.date

    class OfDatetime(type):
        """Every datetime is one of these, also one that was made before."""

        def __instancecheck__(cls, item: object) -> bool:
            return isinstance(item, true_datetime)

    class OfDate(type):
        """Every date is one of these, also one that was made before."""

        def __instancecheck__(cls, item: object) -> bool:
            return isinstance(item, true_date)

    class Datetime(true_datetime, metaclass=OfDatetime):  # type: ignore[valid-type,misc]
        """datetime whose now is off."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            """Now, off."""
            return true_datetime.now(tz) + off

        @classmethod
        def utcnow(cls) -> Any:
            """Now in UTC without a zone, off."""
            return true_datetime.now(datetime.UTC).replace(tzinfo=None) + off

        @classmethod
        def today(cls) -> Any:
            """Now, off."""
            return true_datetime.now() + off

    class Date(true_date, metaclass=OfDate):  # type: ignore[valid-type,misc]
        """date whose today is off."""

        @classmethod
        def today(cls) -> Any:
            """Today, off."""
            return (true_datetime.now() + off).date()

    datetime.datetime, datetime.date = Datetime, Date  # type: ignore[misc]


def main() -> None:
    """Run what standard input asks for and tell what was decided."""
    payload = pickle.loads(sys.stdin.buffer.read())
    sys.path[:] = payload["path"]
    from dhanfast.engine.checks.stage import Stage
    from dhanfast.errors import DhanfastError

    told: dict[str, Any] = {"error": "", "decisions": ""}
    try:
        set_clocks_off()
        stage = Stage(
            payload["strategy"], payload["bars"], params=payload["params"],
            settings=payload["settings"],
        )  # fmt: skip
        run = stage.run(stage.bars)
        told["error"] = "" if run.error is None else str(run.error)
        told["decisions"] = base64.b64encode(run.decisions.tobytes()).decode("ascii")
    except DhanfastError as error:
        told["error"] = str(error)
    print("dhanfast-elsewhere:" + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

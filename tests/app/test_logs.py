"""Log lines: their form, their times, what they never hold."""

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhanfast.app.config import load_config
from dhanfast.app.logs import start_logging, stop_logging

SECRET = "eyJhbGciOiJIUzUxMiJ9.eyJkaGFuQ2xpZW50SWQiOiIxIn0.c2VjcmV0"


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """The root logger's level as it was."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def test_lines_on_console_and_file(tmp_path: Path) -> None:
    console = io.StringIO()
    config = load_config([], tmp_path, ["log.file=logs/a.log", "log.level=warning"], {})
    handlers = start_logging(config, console)
    try:
        logger = logging.getLogger("dhanfast.deep.name")
        logger.info("too small")
        words = "loss of \u20b95 access-token=%s"
        made = logger.makeRecord("dhanfast.deep.name", 30, "f", 1, words, (SECRET,), None)
        logger.handle(made)
    finally:
        stop_logging(handlers)
    logging.getLogger("dhanfast.deep.name").error("after the end")
    shown, kept = console.getvalue(), (tmp_path / "logs" / "a.log").read_text()
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| WARNING  \| dhanfast\.deep\.name \| loss of (.)5 "
    for text, sign in ((shown, "?"), (kept, "\u20b9")):
        found = re.match(form, text)
        assert found and found[1] == sign and text.count("\n") == 1 and SECRET not in text
    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o777 == 0o600


def test_times_are_ist(tmp_path: Path) -> None:
    console = io.StringIO()
    handlers = start_logging(load_config([], tmp_path, [], {}), console)
    try:
        record = logging.getLogger("dhanfast").makeRecord("dhanfast", 20, "f", 1, "x", (), None)
        record.created = 1_700_000_000.9  # 2023-11-14 22:13:20 UTC
        logging.getLogger("dhanfast").handle(record)
    finally:
        stop_logging(handlers)
    assert console.getvalue() == "2023-11-15 03:43:20 | INFO     | dhanfast | x\n"


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    config = load_config([], tmp_path, ["log.file=taken/a.log"], {})
    with pytest.raises(OSError, match="taken"):
        start_logging(config, io.StringIO())

"""`dhanfast generate --what ticks|chain`: the files, what is said, and what is refused."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dhanfast.app import cli_generate
from dhanfast.app.cli import run
from dhanfast.market.tickday import tick_day

DAY = ("--from", "2025-11-17", "--to", "2025-11-17")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run(["generate", *words])
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def test_a_chain_with_books(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--what", "chain", "--ticks", "5000", "--strikes", "3", "--depth", "5")
    code, text = said(capsys, "NIFTY", *DAY, *words, "--seed", "4", "-o", "day.parquet")
    day = tick_day("NIFTY", dt.date(2025, 11, 17), seed=4, ticks=5_000, strikes=3, depth_levels=5)
    batches = list(day)
    rows = sum(len(batch.depth) for batch in batches)
    assert code == 0
    # Only the last line: a busy machine is told in the meantime how far the work is.
    assert text.splitlines()[-1] == (
        f"day.parquet: {day.label} and {rows} rows of books, instruments 8"
    )
    for name, want in (("day.parquet", [b.ticks for b in batches]),
                       ("day.depth.parquet", [b.depth for b in batches])):  # fmt: skip
        table = pq.read_table(name, use_threads=False)
        for column in table.column_names:
            np.testing.assert_array_equal(table.column(column).to_numpy(),
                                          np.concatenate(want)[column])  # fmt: skip


@pytest.mark.parametrize(("kind", "records"), [("IDX", 90_000), ("FUT", 21_375)])
def test_ticks_of_one_instrument(
    capsys: pytest.CaptureFixture[str], kind: str, records: int
) -> None:
    code, text = said(capsys, "NIFTY", *DAY, "--what", "ticks", "--kind", kind, "-o", "t.parquet")
    assert code == 0 and f"{records} generated ticks of NIFTY" in text
    table = pq.read_table("t.parquet", use_threads=False)
    assert table.num_rows == records and not any(table.column("instrument").to_pylist())
    assert any(table.column("bid").to_pylist()) == (kind == "FUT")


def test_long_work_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_generate, "SAID_EVERY_NS", 0)
    monkeypatch.setattr(cli_generate, "FILE_BATCH", 500)
    words = ("--what", "chain", "--ticks", "1000", "-o", "t.parquet")
    code, text = said(capsys, "NIFTY", *DAY, *words)
    assert code == 0 and "500 of 1000 ticks, " in text and "million a second" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--ticks 5", "--ticks: bars have none"),
        ("--depth 5", "--depth: bars have none"),
        ("--strikes 5", "--strikes: bars have none"),
        ("--what ticks --strikes 5", "--strikes: only a chain"),
        ("--what ticks --depth 5", "--depth: an index has no book"),
        ("--what chain --depth 7", "'7' is not one of"),
        ("--what chain --ticks 5", "ticks is 5; give a whole number from 44"),
        ("--what chain --strikes -1", "strikes is -1"),
        ("--what chain --to 2025-11-18", "one day a file"),
        ("--what chain --from 2025-11-16 --to 2025-11-16", "no trading on 2025-11-16"),
        ("--what depth", "'depth' is not one of"),
        ("--what chain -o there.parquet", "there.parquet exists"),
        ("--what chain --depth 5 -o day.parquet", "day.depth.parquet exists"),
    ],
)
def test_refusals(capsys: pytest.CaptureFixture[str], words: str, text: str) -> None:
    Path("there.parquet").touch()
    Path("day.depth.parquet").touch()
    code, error = said(capsys, "NIFTY", *DAY, "-o", "x.parquet", *words.split())
    assert code == 2 and text in error
    assert {path.name for path in Path().iterdir()} == {"there.parquet", "day.depth.parquet"}

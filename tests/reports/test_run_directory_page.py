"""docs/reference/run-directory.md names every file, column and setting of a run directory."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

import dhanfast
from dhanfast.engine.generated import generated_bars
from dhanfast.reports import columns
from dhanfast.reports.rundir import FILES, write_run
from dhanfast.reports.summary import summary

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "run-directory.md"
NOT_FIGURES = (
    "warnings", "generated", "modelled", "digest", "data", "versions", "config", "counters",
    "log", "kernel_ns", "files",
)  # fmt: skip


@pytest.mark.parametrize("kind", columns.DTYPES)
def test_every_column_is_named_in_its_section(kind: str) -> None:
    section = PAGE.read_text().split(f"\n## {kind}.parquet\n")[1].split("\n## ")[0]
    table = columns.arrow_table(kind, np.zeros(0, columns.DTYPES[kind]))
    missing = [name for name in table.column_names if f"`{name}`" not in section]
    assert not missing
    named = {part for part in section.split("`")[1::2] if part.replace("_", "").isalnum()}
    reasons = {"stop_loss", "take_profit", "exit_signal", "time_exit", "expiry_exit", "reversal",
               "end_of_data", "risk_exit", "operator"}  # fmt: skip
    assert named - set(table.column_names) - reasons == set(), "no such columns"


def test_every_file_is_named_and_every_key_is_there(tmp_path: Path) -> None:
    page = PAGE.read_text()
    bars = generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 2), seed=1)
    result = dhanfast.backtest("momentum", bars)
    written = {path.name for path in write_run(result, tmp_path / "run").iterdir()}
    assert written == {*FILES, "result.json"}
    assert all(name in page for name in written)
    keys = {*summary(result), "log", "files"}
    assert set(NOT_FIGURES) <= keys
    assert all(f"`{key}`" in page for key in NOT_FIGURES)

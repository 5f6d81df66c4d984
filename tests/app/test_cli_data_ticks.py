"""`dhanfast data` with ticks, as a user types it: one verb serves bars and ticks."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from dhanfast.app.cli import cli

T0 = 1_767_325_500  # 2026-01-02 09:15 IST
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `dhanfast data ...` with a catalog of its own."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))

    def call(*words: object, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["data", *map(str, words)], input=answer)

    return call


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    """A CSV of good ticks of two futures."""
    lines = ["ts,symbol,ltp,ltq,volume,bid,ask"]
    for at in range(40):
        bid = f"{100 + at * 0.05:.2f}"
        ask = f"{100.05 + at * 0.05:.2f}"
        lines.append(f"{T0 + at},{'AB'[at % 2]}-FUT,{bid},50,{50 * at + 50},{bid},{ask}")
    path = tmp_path / "ticks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_import_list_info_verify_export(run: Run, ticks: Path, tmp_path: Path) -> None:
    done = run("import", ticks, "--tick", "0.05", "--lot", "50")
    assert done.exit_code == 0, done.output
    assert "40 rows of 2 instruments -> 40 ticks" in done.stdout
    assert "every cell read back and compared" in done.stdout.replace("\n ", "")
    assert "read: columns: recv=ts, instrument=symbol, price=ltp" in done.stderr
    assert "held already, nothing changes" in run("import", ticks).stdout
    table = run("list").stdout.splitlines()
    assert table[1].split() == ["2026-01-02-ticks.dfa", "40", "2026-01-02", "recorded"]
    page = run("info", "2026-01-02")
    assert "sealed, SHA-256" in page.stdout and "A-FUT" in page.stdout
    assert all(len(line) <= 80 for line in page.stdout.splitlines()[1:])
    clean = run("verify", "2026-01-02")
    assert (clean.exit_code, "clean, 0 notes" in clean.stdout) == (0, True), clean.output
    assert run("verify").exit_code == 0
    back = run("export", "2026-01-02", tmp_path / "back.csv", "--as-source")
    assert back.exit_code == 0 and (tmp_path / "back.csv").read_bytes() == ticks.read_bytes()
    words = ("--from", "2026-01-02T09:15:10", "--to", "2026-01-02T09:15:20", "--json")
    part = run("export", "2026-01-02", tmp_path / "p.parquet", "--symbols", "A-FUT", *words)
    assert json.loads(part.stdout)["rows"] == 5
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["recv_ns"] // 10**9 - T0 for row in rows] == [10, 12, 14, 16, 18]


def test_json_of_every_verb(run: Run, ticks: Path, tmp_path: Path) -> None:
    imported = json.loads(run("import", ticks, "--json").stdout)["ticks"][0]
    assert imported["rows"] == 40 and imported["generated"] is False
    listed = json.loads(run("list", "--json").stdout)["ticks"][0]
    assert listed["sources"][0]["sha256"] == imported["sha256"]
    assert listed["first_day"] == "2026-01-02" and len(listed["digest"]) == 64
    (facts,) = json.loads(run("info", "2026-01-02", "--json").stdout)
    assert facts["streams"][0]["rows"] == 40 and facts["digest"] == listed["digest"]
    (found,) = json.loads(run("verify", "2026-01-02", "--json").stdout)
    assert found["defects"] == 0 and found["rows"] == {"ticks": 40}
    made = run("convert", "2026-01-02", tmp_path / "c.dfa", "--json")
    assert json.loads(made.stdout)["rows"] == {"ticks": 40}
    planned = json.loads(run("prune", "--before", "2027-01-01", "--dry-run", "--json").stdout)
    assert planned["archives"][0]["action"] == "removed" and planned["dry_run"] is True


def test_defects_have_exit_code_6(run: Run, ticks: Path) -> None:
    lines = ticks.read_text().splitlines()
    lines[5] = lines[5].replace(",50,", ",50,9", 1)
    ticks.write_text("\n".join(lines) + "\n")
    run("import", ticks)
    bad = run("verify", "2026-01-02")
    assert bad.exit_code == 6
    assert "DEFECT volume-back" in bad.stdout and "1 defects in 1 of 1 sources" in bad.stderr


def test_repair_cuts_a_torn_tail_and_leaves_sealed_files(
    run: Run, ticks: Path, tmp_path: Path
) -> None:
    run("import", ticks, "--to", tmp_path / "a.dfa")
    sealed = (tmp_path / "a.dfa").read_bytes()
    assert run("verify", tmp_path / "a.dfa", "--repair").exit_code == 0
    assert (tmp_path / "a.dfa").read_bytes() == sealed
    torn = tmp_path / "torn.dfa"
    torn.write_bytes(sealed[:-100])
    assert run("verify", torn).exit_code == 6
    mended = run("verify", torn, "--repair")
    assert mended.exit_code == 0 and "repaired: what was not whole is in" in mended.stdout
    assert run("verify", torn).exit_code == 0
    no = run("verify", ticks, "--repair", "--columns", "ts=ts,open=ltp,high=ltp,low=ltp,close=ltp")
    assert no.exit_code == 2 and "--repair is for tick archives" in no.stderr


def test_prune_asks(run: Run, ticks: Path) -> None:
    run("import", ticks)
    dry = run("prune", "--before", "2026-02-01", "--dry-run")
    assert "would be removed" in dry.stdout and "bytes would be freed" in dry.stdout
    assert run("prune", "--before", "2026-02-01", answer="n\n").exit_code == 1
    assert len(run("list").stdout.splitlines()) == 2
    assert "nothing to take away" in run("prune", "--before", "2026-01-02", "--yes").stdout
    gone = run("prune", "--keep-days", "1", "--yes")
    assert gone.exit_code == 0 and "1 archives" in gone.stdout and "bytes freed" in gone.stdout
    assert "is empty" in run("list").stderr


def test_convert_joins_and_cuts(run: Run, ticks: Path, tmp_path: Path) -> None:
    run("import", ticks)
    for name, words in (("a", ("--to", "2026-01-02T09:15:20")),
                        ("b", ("--from", "2026-01-02T09:15:20"))):  # fmt: skip
        assert run("convert", "2026-01-02", tmp_path / f"{name}.dfa", *words).exit_code == 0
    joined = run("convert", tmp_path / "b.dfa", tmp_path / "a.dfa", tmp_path / "ab.dfa")
    assert joined.exit_code == 0 and "joined, 40 ticks" in joined.stdout.replace("\n ", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("import", "TICKS", "--stamp", "end"), "--stamp is for bars"),
        (("import", "TICKS", "--replace"), "--replace is for bars"),
        (("import", "TICKS", "--tick", "5 paise"), "is not rupees and paise"),
        (("import", "BARS", "--clock", "recv"), "--clock is for ticks"),
        (("import", "TICKS", "BARS"), "import them one after the other"),
        (("import", "TICKS", "TICKS", "--to", "x.dfa"), "--to names one archive"),
        (("export", "2026-01-09", "x.csv"), "no tick archive of 2026-01-09"),
        (("export", "nothing.dfa", "x.csv"), "no such file"),
        (("info", "2026-02-31"), "is not a date"),
        (("prune",), "one of --keep-days N and --before DATE"),
        (("prune", "--before", "soon"), "'soon' is not a date"),
    ],
)
def test_refused(run: Run, ticks: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("date,open,high,low,close\n1641181500,1,1,1,1\n")
    names = {"TICKS": ticks, "BARS": bars}
    bad = run(*(names.get(word, word) for word in words))
    assert bad.exit_code == 2, bad.output
    assert says in bad.stderr.replace("\n", " ")


def test_an_archive_is_not_imported_again(run: Run, ticks: Path, tmp_path: Path) -> None:
    run("import", ticks, "--to", tmp_path / "a.dfa")
    again = run("import", tmp_path / "a.dfa")
    assert again.exit_code == 2 and "is an archive already" in again.stderr

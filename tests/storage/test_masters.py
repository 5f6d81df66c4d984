"""Copies of the instrument master: whole or not at all, a day each, whatever happens in between."""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, DhanfastError, OutOfCalendar, UsageError
from dhanfast.market.master import Master, Texts, Words
from dhanfast.market.master_csv import parse_master
from dhanfast.storage.master_file import (
    master_bytes,
    pack_master,
    parse_master_bytes,
    read_master,
)
from dhanfast.storage.masters import (
    LOCK,
    MANIFEST,
    MasterStore,
    Raw,
    Updated,
    UpdateOptions,
    default_masters,
)

from ..listing import Row, as_csv, detailed_rows, option, options, share

FIRST = date(2026, 7, 20)


def clock_of(day: date, hour: int = 9) -> ManualClock:
    """A clock that shows an hour of a day in IST."""
    utc = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - timedelta(hours=5, minutes=30)
    return ManualClock(int(utc.timestamp()) * 10**9)


@pytest.fixture
def store(tmp_path: Path) -> MasterStore:
    """An empty one."""
    return MasterStore(tmp_path / "instruments")


def bring(store: MasterStore, rows: list[Row] | bytes, today: date = FIRST, **opts: Any) -> Updated:
    """Update from rows, on a day."""
    data = rows if isinstance(rows, bytes) else as_csv(rows)
    return store.update(lambda _: Raw(data, "made.csv"), UpdateOptions(**opts), clock_of(today))


def master_of(rows: list[Row]) -> Master:
    return parse_master(as_csv(rows), name="rows").master


def contents(master: Master) -> list[Any]:
    """Everything a master says."""
    return [(master.contract(row), master.extras(row)) for row in range(len(master))]


# ---- the file ----------------------------------------------------------------------------------


@given(rows=detailed_rows())
def test_a_file_says_what_was_written(rows: list[Row]) -> None:
    master = master_of(rows)
    data, sha256 = master_bytes(master)
    again = parse_master_bytes(data, "x", sha256)
    assert contents(again) == contents(master) and again.form == master.form
    assert again.find("nifty").tolist() == master.find("nifty").tolist()
    assert master_bytes(again) == (data, sha256)


def test_columns_are_used_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.dfmaster"
    path.write_bytes(master_bytes(master_of([*options(50), share()]))[0])
    master = read_master(path)
    for name, column in master.columns.items():
        arrays = [column.offsets, column.blob] if isinstance(column, Texts) else [
            column.codes if isinstance(column, Words) else column.values]  # fmt: skip
        for array in arrays:
            assert not array.flags.owndata and not array.flags.writeable, name
    path.unlink()  # a copy that is swept away while it is in use
    assert master.get("NSE_EQ", 1333).symbol == "SYMA"


def test_compressed_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.dfmaster"
    master = master_of(options(500))
    path.write_bytes(master_bytes(master)[0])
    packed = tmp_path / "a.dfmaster.zst"
    assert pack_master(path, packed) == packed.stat().st_size < path.stat().st_size / 5
    assert contents(read_master(packed)) == contents(master)


@pytest.mark.parametrize("packed", [False, True])
def test_damage_at_any_byte_is_seen(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.dfmaster"
    path.write_bytes(master_bytes(master_of([option()]))[0])
    if packed:
        pack_master(path, path := tmp_path / "a.dfmaster.zst")
    good = path.read_bytes()
    wanted = contents(read_master(path))
    refused = 0
    places = range(0, len(good), 1 if len(good) < 2_000 else 5)
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 0x10
        path.write_bytes(bad)
        try:
            assert contents(read_master(path)) == wanted  # a byte that says nothing
        except BadData as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 0.98 * len(places)


def test_a_file_cut_at_any_byte_is_refused() -> None:
    good = master_bytes(master_of([option()]))[0]
    for size in range(len(good)):
        with pytest.raises(BadData, match="damaged"):
            parse_master_bytes(good[:size], "x")


@given(data=st.binary(max_size=300), packed=st.booleans())
def test_any_bytes_are_refused(data: bytes, packed: bool, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("any") / ("x.dfmaster.zst" if packed else "x.dfmaster")
    path.write_bytes(b"DFMASTER" + data if len(data) % 2 else data)
    with pytest.raises(BadData, match=r"x\.dfmaster"):
        read_master(path)


def test_another_days_file_under_this_days_name_is_refused(tmp_path: Path) -> None:
    one, other = (master_bytes(master_of([option(LOT_SIZE=lot)])) for lot in ("65", "75"))
    with pytest.raises(BadData, match="its SHA-256 is not the one that was written down"):
        parse_master_bytes(one[0], "x", other[1])
    later = bytearray(one[0])
    later[8] = 2
    with pytest.raises(BadData, match="format 2, this version reads 1"):
        parse_master_bytes(bytes(later), "x")


# ---- a copy a day ------------------------------------------------------------------------------


def test_the_copy_of_a_day_is_the_one_known_on_it(store: MasterStore) -> None:
    for offset, lot in ((0, "65"), (2, "75"), (5, "50")):
        bring(store, [option(LOT_SIZE=lot)], FIRST + timedelta(offset))
    for offset, lot in ((0, 65), (1, 65), (2, 75), (4, 75), (5, 50), (90, 50)):
        copy = store.as_of(FIRST + timedelta(offset))
        assert store.load(copy).contract(0).lot == lot
    assert store.newest().day == "2026-07-25"
    with pytest.raises(OutOfCalendar, match="the first copy is of 2026-07-20"):
        store.as_of(FIRST - timedelta(1))


def test_the_day_is_that_of_india(store: MasterStore) -> None:
    store.update(lambda _: Raw(as_csv([option()]), "x"), UpdateOptions(), clock_of(FIRST, 1))
    assert store.newest().day == "2026-07-20"  # 19 July in UTC


def test_older_copies_are_compressed_and_the_newest_is_not(store: MasterStore) -> None:
    for offset in range(4):
        bring(store, [option(LOT_SIZE=str(50 + offset))], FIRST + timedelta(offset))
    packed = [copy.file.endswith(".zst") for copy in store.copies()]
    assert packed == [True, True, True, False]
    named = {copy.file for copy in store.copies()}
    assert {path.name for path in store.root.iterdir()} == named | {MANIFEST, LOCK}


def test_the_same_file_on_another_day_is_kept_once(store: MasterStore) -> None:
    rows = [option(), share()]
    bring(store, rows)
    again = bring(store, rows, FIRST + timedelta(1))
    assert again.unchanged and again.difference is None and again.since == "2026-07-20"
    first, second = store.copies()
    assert first.file == second.file and (first.day, second.day) == ("2026-07-20", "2026-07-21")
    bring(store, [option(LOT_SIZE="75"), share()], FIRST + timedelta(2))
    assert len({copy.file for copy in store.copies()}) == 2
    assert [store.load(copy).get("NSE_FNO", 49081).lot for copy in store.copies()] == [65, 65, 75]


def test_a_second_file_of_a_day_takes_the_place_of_the_first(store: MasterStore) -> None:
    bring(store, [option()])
    done = bring(store, [option(LOT_SIZE="75")])
    assert [copy.day for copy in store.copies()] == ["2026-07-20"]
    assert done.since == "2026-07-20" and done.difference is not None
    assert [change.kind for change in done.difference.changes] == ["lot"]


def test_an_old_file_can_be_brought_in_later(store: MasterStore) -> None:
    bring(store, [option(LOT_SIZE="75")], FIRST)
    done = bring(store, [option()], FIRST, day=FIRST - timedelta(9))
    assert done.difference is None and done.copy.day == "2026-07-11"
    assert [copy.day for copy in store.copies()] == ["2026-07-11", "2026-07-20"]
    with pytest.raises(UsageError, match="day 2026-07-21 is in the future: today is 2026-07-20"):
        bring(store, [option()], FIRST, day=FIRST + timedelta(1))


def test_copies_that_are_too_old_are_deleted_and_said(store: MasterStore) -> None:
    for offset in (0, 1, 40):
        done = bring(store, [option(LOT_SIZE=str(50 + offset))], FIRST + timedelta(offset),
                     keep_days=39)  # fmt: skip
    assert done.removed == ("2026-07-20",)
    assert [copy.day for copy in store.copies()] == ["2026-07-21", "2026-08-29"]
    assert len(list(store.root.glob("*.dfmaster*"))) == 2


def test_a_source_is_told_the_newest_copy_and_may_say_that_it_stands(store: MasterStore) -> None:
    told: list[Any] = []

    def source(newest: Any) -> Raw | None:
        told.append(newest)
        return None if newest else Raw(as_csv([option()]), "x", "tag", "Monday", "http://x/y")

    store.update(source, UpdateOptions(), clock_of(FIRST))
    done = store.update(source, UpdateOptions(), clock_of(FIRST + timedelta(1)))
    assert told[0] is None and (told[1].etag, told[1].address) == ("tag", "http://x/y")
    assert done.unchanged and done.copy.day == "2026-07-21"
    (store.root / done.copy.file).write_bytes(b"spoiled")
    store.update(source, UpdateOptions(), clock_of(FIRST + timedelta(2)))
    assert told[2] is None  # a damaged copy is not said to be current
    with pytest.raises(BadData, match="nothing has changed, but there is no copy"):
        MasterStore(store.root.with_name("other")).update(
            lambda _: None, UpdateOptions(), clock_of(FIRST)
        )


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "opts", "says"),
    [
        (b"<html>", {}, "is a web page"),
        (options(79), {}, "79 contracts, where the last copy has 101 that have not expired"),
        (options(100), {"rows_min": 101}, "100 contracts are fewer than 101"),
        ([*options(98), *(option(SECURITY_ID=f"{n}", LOT_SIZE="x") for n in range(500, 502))], {},
         "2 of 100 rows would be refused, more than 1.00%"),
        ([share(SECURITY_ID=str(n + 1)) for n in range(200)], {},
         "0 contracts of NSE_FNO, where the last copy has 100"),
        (as_csv(options(100))[:-40], {}, "cut short"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_everything_as_it_was(
    store: MasterStore, rows: Any, opts: dict[str, Any], says: str
) -> None:
    bring(store, [*options(100), share(SECURITY_ID="900")])
    before = tree(store.root)
    with pytest.raises(BadData) as caught:
        bring(store, rows, FIRST + timedelta(1), **opts)
    assert says in str(caught.value) and "made.csv" in str(caught.value)
    assert tree(store.root) == before


def test_what_was_refused_can_be_allowed(store: MasterStore) -> None:
    bring(store, options(100))
    bad = [*options(98), option(SECURITY_ID="500", LOT_SIZE="x"), option(SECURITY_ID="501")]
    done = bring(store, bad, FIRST + timedelta(1), refused_share_max=0.02)
    assert done.copy.refused == 1 and "LOT_SIZE 'x'" in done.copy.refused_rows[0]
    bring(store, options(3), FIRST + timedelta(2), accept_short=True)
    assert store.newest().rows == 3


def test_contracts_that_expired_are_not_missed(store: MasterStore) -> None:
    bring(store, [*options(90), *options(20, 500, SM_EXPIRY_DATE="2026-08-04")], date(2026, 7, 28))
    done = bring(store, options(20, 500, SM_EXPIRY_DATE="2026-08-04"), date(2026, 7, 29))
    assert done.difference is not None and done.difference.counts == {"expired": 90}


@pytest.mark.parametrize(
    ("opts", "says"),
    [
        ({"rows_min": 0}, "rows_min must be at least 1, got 0"),
        ({"refused_share_max": 1.5}, "refused_share_max must be 0 to 1, got 1.5"),
        ({"keep_days": 0}, "keep_days must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(opts: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        UpdateOptions(**opts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "damaged"),
        (b'{"format": 1}', "damaged"),
        (b'{"format": 2, "copies": []}', "format 2, this version reads 1"),
    ],
)
def test_a_manifest_that_is_none_is_refused(store: MasterStore, text: bytes, says: str) -> None:
    bring(store, [option()])
    (store.root / MANIFEST).write_bytes(text)
    with pytest.raises(BadData, match=says):
        store.copies()


@pytest.mark.parametrize("change", [("2026-07-20-", "../../x-"), ('"2026-07-20"', '"2026-07-99"')])
def test_a_manifest_that_points_elsewhere_is_refused(
    store: MasterStore, change: tuple[str, str]
) -> None:
    bring(store, [option()])
    path = store.root / MANIFEST
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(BadData, match="damaged"):
        store.copies()


def test_a_copy_that_is_gone_or_damaged_is_said_and_does_not_keep_a_good_one_out(
    store: MasterStore,
) -> None:
    with pytest.raises(UsageError, match="holds no instrument master; fetch one: dhanfast instr"):
        store.newest()
    bring(store, [option()])
    copy = store.newest()
    (store.root / copy.file).write_bytes(b"spoiled")
    with pytest.raises(BadData, match="damaged"):
        store.load(copy)
    done = bring(store, [option()])  # the same file, the same day: written anew
    assert not done.unchanged and store.load(store.newest()).contract(0).lot == 65
    (store.root / copy.file).unlink()
    with pytest.raises(BadData, match="missing; restore it, or update again"):
        store.load(copy)
    assert bring(store, [option(LOT_SIZE="75")], FIRST + timedelta(1)).difference is None
    assert store.load(store.newest()).contract(0).lot == 75


# ---- whatever happens in between ---------------------------------------------------------------


def tree(root: Path) -> dict[str, bytes]:
    """Files of a store and what they hold, the lock left out."""
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != LOCK}


def killed_at(step: int, store: MasterStore, rows: list[Row], day: date) -> bool:
    """Update in a child that dies by SIGKILL before its step-th system call; say if it lived."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        seen = 0

        def watched(call: Callable[..., object]) -> Callable[..., object]:
            def run(*args: object, **kwargs: object) -> object:
                nonlocal seen
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return run

        try:
            for name in ("fsync", "replace", "unlink", "fchmod", "fdopen", "mkdir"):
                setattr(os, name, watched(getattr(os, name)))
            bring(store, rows, day, keep_days=1)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def lots(store: MasterStore) -> dict[str, int]:
    """What the copies say, every one of them proven."""
    return {copy.day: store.load(copy).get("NSE_FNO", 49081).lot for copy in store.copies()}


def test_a_kill_at_any_step_leaves_the_last_good_copy(store: MasterStore) -> None:
    """The new day compresses one copy and deletes another, so every kind of step is there."""
    for offset, lot in ((0, "50"), (1, "65")):
        bring(store, [option(LOT_SIZE=lot)], FIRST + timedelta(offset))
    start = store.root.with_name("start")
    shutil.copytree(store.root, start)
    old = {"2026-07-20": 50, "2026-07-21": 65}
    new = {"2026-07-21": 65, "2026-07-22": 75}
    states = []
    for step in range(1, 60):
        shutil.rmtree(store.root)
        shutil.copytree(start, store.root)
        lived = killed_at(step, store, [option(LOT_SIZE="75")], FIRST + timedelta(2))
        states.append(lots(store))
        assert states[-1] in (old, new), f"step {step}"
        bring(store, [option(LOT_SIZE="90")], FIRST + timedelta(3), keep_days=9)
        assert lots(store) == states[-1] | {"2026-07-23": 90}
        named = {copy.file for copy in store.copies()}
        left = {path.name for path in store.root.iterdir()} - {MANIFEST, LOCK}
        assert left == named, f"step {step}"
        if lived:
            break
    assert lived and step > 15
    assert states[0] == old and states[-1] == new


SECOND = """
import sys
from dhanfast.clock import SystemClock
from dhanfast.errors import DhanfastError
from dhanfast.storage.masters import MasterStore, Raw, UpdateOptions
data = open(sys.argv[2], "rb").read()
try:
    MasterStore(sys.argv[1]).update(lambda _: Raw(data, "x"), UpdateOptions(), SystemClock())
except DhanfastError as error:
    print(error)
    sys.exit(7)
"""


def test_of_two_updates_at_once_the_second_is_told_to_wait(
    store: MasterStore, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(as_csv([option(LOT_SIZE="75")]))
    outcome: list[subprocess.CompletedProcess[str]] = []

    def slow_source(_: Any) -> Raw:
        """While the first one is fetching, another process tries."""
        command = [sys.executable, "-c", SECOND, str(store.root), str(path)]
        outcome.append(subprocess.run(command, capture_output=True, text=True))
        return Raw(as_csv([option()]), "first")

    store.update(slow_source, UpdateOptions(), clock_of(FIRST))
    assert outcome[0].returncode == 7, outcome[0].stderr
    assert f"process {os.getpid()} is updating the instrument master" in outcome[0].stdout
    assert lots(store) == {"2026-07-20": 65}


def test_a_source_that_fails_changes_nothing(store: MasterStore) -> None:
    bring(store, [option()])
    before = tree(store.root)

    def broken(_: Any) -> Raw:
        raise DhanfastError("no network")

    with pytest.raises(DhanfastError, match="no network"):
        store.update(broken, UpdateOptions(), clock_of(FIRST + timedelta(1)))
    assert tree(store.root) == before


def test_a_reader_survives_a_compression(store: MasterStore) -> None:
    bring(store, [option()])
    stale = store.newest()
    bring(store, [option(LOT_SIZE="75")], FIRST + timedelta(1))
    assert store.copies()[0].file != stale.file
    assert store.load(stale).contract(0).lot == 65


def test_numbers_are_the_smallest_that_hold_them() -> None:
    master = master_of(options(300))
    assert master.numbers("lot").dtype == np.int8 and master.numbers("strike").dtype == np.int32


def test_where_the_copies_are() -> None:
    assert default_masters({"DHANFAST_HOME": "h"}) == Path("h/instruments")
    assert default_masters({"XDG_DATA_HOME": "x"}) == Path("x/dhanfast/instruments")

"""The file of a search: goes on after any stop, and no damage passes for a result."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.search import Engines, Sweep, optimize
from dhanfast.engine.research.study import Study, read_study
from dhanfast.engine.research.trial import Row
from dhanfast.errors import BadData, ConfigError, DhanfastError, UsageError
from tests.engine.research.noise import random_walk

RANGES = ["ema=5..50:5", "stop_atr=1,2"]
HEAD = {"strategy": "s", "space": [{"name": "ema", "points": (1, 2)}], "trials": 4}
ROW = Row(0, {"ema": 1}, score=0.1, net=-5, daily=np.array([3, -8]))


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared("momentum", random_walk(3, "2022-02-01", "2022-02-28"))


def search(made: Prepared, path: Path | None, *, resume: bool = False, **more: Any) -> Sweep:
    given = {"ranges": RANGES, "engines": Engines(jobs=1), **more}
    return optimize(made, study=path, resume=resume, **given)


@settings(max_examples=20)
@given(st.data())
def test_whatever_was_cut_off_the_rest_is_run_again(data: Any) -> None:
    """A kill leaves any beginning of the file: the end is the same to the digest."""
    import tempfile

    made, whole = _finished()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.study"
        path.write_bytes(whole[1][: data.draw(st.integers(0, len(whole[1])))])
        again = search(made, path, resume=True)
        assert again.digest == whole[0]
        assert sorted(read_study(path)[1]) == list(range(20))


def test_cut_anywhere_in_its_head_a_file_is_begun_anew(tmp_path: Path) -> None:
    whole = _finished()[1][1]
    head = whole.index(b"\n")
    path = tmp_path / "cut.study"
    for cut in range(head + 1):
        path.write_bytes(whole[:cut])
        assert read_study(path) == ({}, {}, 0)
    for other in (b"hello", b"00000000 {}", b"0123456789", b"zzzzzzzz "):
        path.write_bytes(other)
        with pytest.raises(BadData, match="not the file of a search"):
            read_study(path)


_KEPT: list[Any] = []


def _finished() -> Any:
    if not _KEPT:
        import tempfile

        made = prepared("momentum", random_walk(3, "2022-02-01", "2022-02-04"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "whole.study"
            sweep = search(made, path)
            _KEPT.extend([made, (sweep.digest, path.read_bytes())])
    return _KEPT


def test_a_finished_search_runs_nothing_again(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    first = search(made, path)
    again = search(made, path, resume=True)
    assert (first.fresh, again.fresh) == (20, 0)
    assert again.digest == first.digest == search(made, None).digest


def test_more_random_trials_go_on_from_those_that_are_there(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    search(made, path, method="random", trials=6, seed=4)
    more = search(made, path, resume=True, method="random", trials=10, seed=4)
    assert more.fresh == 4
    assert more.digest == search(made, None, method="random", trials=10, seed=4).digest


def test_a_file_that_is_there_is_not_overwritten(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    search(made, path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is there already; go on with it by --resume"):
        search(made, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ranges": ["ema=5..50:5", "stop_atr=1,3"]}, "space was"),
        ({"method": "random", "trials": 5}, 'method was "grid", is "random"'),
    ],
)
def test_another_search_is_refused_by_what_differs(
    made: Prepared, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "a.study"
    search(made, path)
    with pytest.raises(ConfigError) as found:
        search(made, path, resume=True, **change)
    assert "is of another search" in str(found.value) and said in str(found.value)


def test_other_data_or_settings_are_another_search(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    search(made, path)
    other = prepared("momentum", random_walk(4, "2022-02-01", "2022-02-28"))
    with pytest.raises(ConfigError, match="data was"):
        search(other, path, resume=True)
    other = prepared("momentum", random_walk(3, "2022-02-01", "2022-02-28"), objective="net")
    with pytest.raises(ConfigError, match='objective was "sharpe", is "net"'):
        search(other, path, resume=True)


@settings(max_examples=20)
@given(st.data())
def test_a_changed_byte_is_named_by_its_line(data: Any) -> None:
    import tempfile

    _, whole = _finished()
    raw = bytearray(whole[1])
    lines = raw.split(b"\n")
    at = data.draw(st.integers(0, len(raw) - 1).filter(lambda n: raw[n] != 10))
    new = data.draw(st.integers(0, 255).filter(lambda b: b != 10))
    same = bytes([raw[at]]).lower() == bytes([new]).lower()  # hex digits have two forms
    raw[at] = new
    line = bytes(raw[:at]).count(b"\n") + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.study"
        path.write_bytes(bytes(raw))
        if same:
            return
        with pytest.raises(BadData, match=rf"line {line}: its checksum does not fit"):
            read_study(path)
    assert len(lines) == 22


def test_a_damaged_trial_may_be_deleted_and_is_run_again(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    digest = search(made, path).digest
    lines = path.read_bytes().split(b"\n")
    lines[5] = b"garbage"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(BadData, match="line 6"):
        search(made, path, resume=True)
    del lines[5]
    path.write_bytes(b"\n".join(lines))
    again = search(made, path, resume=True)
    assert again.fresh == 1 and again.digest == digest


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    path.write_text("some text without an end")
    with pytest.raises(BadData, match="is not the file of a search"):
        read_study(path)
    text = json.dumps({"format": "dhanfast-study-9"}).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(BadData, match="dhanfast-study-9"):
        read_study(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_study(tmp_path / "none.study")


def test_two_searches_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    with Study(path, HEAD, resume=False) as study:
        study.add([ROW])
        with pytest.raises(DhanfastError, match=r"a\.study: process \d+ is searching right now"):
            Study(path, HEAD, resume=True)
    with Study(path, HEAD, resume=True) as study:
        assert study.rows[0].as_dict() == ROW.as_dict()


def test_a_study_of_other_points_is_refused(tmp_path: Path, made: Prepared) -> None:
    """As when another version of Optuna draws other points under the same head."""
    path = tmp_path / "a.study"
    search(made, path)
    head = path.read_bytes().split(b"\n")[0]
    text = json.dumps(Row(0, {"ema": 49, "stop_atr": 1.0}).as_dict()).encode()
    path.write_bytes(head + b"\n%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(BadData, match=r"trial 0 was run with .*49"):
        search(made, path, resume=True)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Study(tmp_path / "no" / "a.study", HEAD, resume=False)

"""Mutated archives: BadData that names file and byte, or the right rows; never anything else.

The same trials for hours, under AddressSanitizer too: scripts/fuzz-archive.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import BadData
from dhanfast.storage.archive.reader import ArchiveReader

from .archive_mutants import KINDS, chunks_of, mutant, put_right, seeds
from .archive_trial import Wrong, plain_rows, trial

TRIALS = 60


@pytest.mark.parametrize("part", range(5))
def test_mutants_are_refused_or_read_right(tmp_path: Path, part: int) -> None:
    answers: dict[str, int] = {}
    for seed in range(part * TRIALS, (part + 1) * TRIALS):
        data, how = mutant(seed)
        try:
            answer = trial(data, tmp_path / "x.dfa", seed)
        except Exception as fault:
            raise AssertionError(f"mutant {seed} ({how}): {fault!r}") from fault
        answers[answer] = answers.get(answer, 0) + 1
    # Neither may be all: a reader that refuses everything would pass otherwise.
    assert answers["refused"] > TRIALS // 4 and answers["rows"] > TRIALS // 12, answers


@given(data=st.binary(max_size=400), at=st.integers(0, 20_000), seed=st.integers(0, 3))
def test_any_bytes_in_any_place(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, seed: int
) -> None:
    made = bytearray(seeds()[seed])
    made[at : at + len(data)] = data
    path = tmp_path_factory.mktemp("any") / "x.dfa"
    trial(bytes(made), path, seed)
    put_right(made)
    trial(bytes(made), path, seed)


def test_seeds_are_valid_and_mutants_are_of_all_kinds(tmp_path: Path) -> None:
    for number, data in enumerate(seeds()):
        assert trial(data, tmp_path / "x.dfa", number) == "rows" and len(chunks_of(data)) > 6
    told = [mutant(seed) for seed in range(300)]
    assert {kind for _, how in told for kind in how.split(",")[0].split("+")} == set(KINDS)
    assert told[7] == mutant(7)


def test_checksums_put_right_are_right(tmp_path: Path) -> None:
    """Otherwise the trials would never get behind the checksums."""
    for data in seeds():
        spoilt = bytearray(data)
        for at, _ in chunks_of(data):
            spoilt[at + 16 : at + 24] = bytes(8)
        put_right(spoilt)
        assert bytes(spoilt) == data


def test_a_reader_that_lies_would_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.dfa"
    honest = ArchiveReader.blocks

    def lying(self: ArchiveReader, *args: object, **choice: object) -> object:
        for block in honest(self, *args, **choice):  # type: ignore[arg-type]
            block.seq[0] += np.uint64(1)
            yield block

    monkeypatch.setattr(ArchiveReader, "blocks", lying)
    with pytest.raises(Wrong):
        trial(seeds()[0], path, 1)
    monkeypatch.undo()
    monkeypatch.setattr(ArchiveReader, "refresh", lambda self: (_ for _ in ()).throw(BadData("?")))
    with pytest.raises(Wrong, match="without file or byte"):
        trial(seeds()[0], path, 1)
    assert plain_rows(path, "ticks")

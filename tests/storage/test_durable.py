"""Folders are durable one by one: a power cut takes none away that something is named in."""

from pathlib import Path

import pytest

from dhanfast.errors import DhanfastError
from dhanfast.storage import durable


def test_every_new_name_is_synced_in_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []
    whole = durable.sync_folder

    def seen(folder: Path) -> None:
        synced.append((folder, (tmp_path / "a/b/c").is_dir()))
        whole(folder)

    monkeypatch.setattr(durable, "sync_folder", seen)
    durable.make_folder(tmp_path / "a/b/c")
    assert synced == [(tmp_path, False), (tmp_path / "a", False), (tmp_path / "a/b", True)]
    durable.make_folder(tmp_path / "a/b/c")
    assert len(synced) == 3, "nothing was new"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(DhanfastError, match=r"/a: cannot be made"):
        durable.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_bytes() == b"mine"

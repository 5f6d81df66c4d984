"""Where Dhan's instrument files are, and how a copy of them is asked for."""

from pathlib import Path
from typing import Final

from dhanfast.brokers.download import (
    Limits,
    Told,
    Validators,
    download,
    public_url,
    require_allowed,
)
from dhanfast.clock import Clock
from dhanfast.errors import BadData
from dhanfast.storage.masters import Copy, Raw, Source

ADDRESSES: Final = {
    "compact": "https://images.dhan.co/api-data/api-scrip-master.csv",
    "detailed": "https://images.dhan.co/api-data/api-scrip-master-detailed.csv",
}
DEFAULT_FORM: Final = "detailed"  # it alone has freeze quantities and ids of underlyings
ROWS_MIN: Final = 50_000  # of the broker's own file, which has more than twice as many


def is_address(source: str) -> bool:
    """Whether what a user typed is an address rather than a file."""
    return "://" in source


def from_address(
    url: str, limits: Limits, clock: Clock, *, fresh: bool = False, told: Told = lambda _: None
) -> Source:
    """A source that downloads.

    Args:
        fresh: fetch the file even when the server would say that it has not changed.
        told: called with the bytes that have come, now and then.

    Raises:
        UsageError: an address that must not be asked.
    """
    require_allowed(url, limits)
    kept = url if public_url(url) == url else ""  # a query may hold what is secret

    def fetch(newest: Copy | None) -> Raw | None:
        known = Validators()
        if newest is not None and kept and newest.address == kept and not fresh:
            known = Validators(newest.etag, newest.last_modified)
        got = download(url, limits, known, clock, told)
        if got.data is None:
            return None
        said = got.validators
        return Raw(got.data, got.url, said.etag, said.last_modified, kept)

    return fetch


def from_file(path: Path, limits: Limits) -> Source:
    """A source that reads a file.

    Raises:
        BadData: when it is called: the file is too large.
        OSError: when it is called: the file cannot be read.
    """

    def read(newest: Copy | None) -> Raw:
        with open(path, "rb") as file:
            data = file.read(limits.bytes_max + 1)
        if len(data) > limits.bytes_max:
            raise BadData(f"{path}: larger than {limits.bytes_max:,} bytes, so no instrument file")
        return Raw(data, path.name)

    return read

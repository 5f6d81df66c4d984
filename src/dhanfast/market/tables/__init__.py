"""The dated tables of the market and the one door to them.

A table is a CSV file beside this module: a header, then one fact a line, each with its `source`
(a tag of sources.csv), its `confidence` (A exchange text or agreeing reports, B one decent source,
C general knowledge, D estimate or contested) and the dates it holds for, both ends inclusive.
Fields hold no comma and no quote, so that a line reads the same to a person and to `str.split`.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache
from pkgutil import get_data

from dhanfast.errors import ConfigError, OutOfCalendar, UsageError

Row = dict[str, str]

CONFIDENCE = "ABCD"  # best first


@cache
def read(name: str) -> tuple[Row, ...]:
    """Every row of one table, in file order, fields as text.

    Args:
        name: the file's name without ".csv".

    Raises:
        UsageError: there is no such table.
        ConfigError: a line does not have the columns of the header.
    """
    try:
        # pkgutil, because importlib.resources brings zipfile and tempfile: 8 ms more at start.
        content = get_data(__name__, f"{name}.csv")
    except OSError:
        content = None
    if content is None:
        raise UsageError(f"market table {name!r} does not exist; the tables are in market/tables/")
    return parse(content.decode("utf-8"), name)


def parse(text: str, name: str) -> tuple[Row, ...]:
    """The rows of a table's text. Apart from `read` so that refusals can be tested.

    Args:
        text: header and rows.
        name: what errors call the table.

    Raises:
        ConfigError: a line does not have the columns of the header, or holds a quote.
    """
    lines = text.splitlines()
    header = lines[0].split(",")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split(",")
        if len(fields) != len(header) or '"' in line:
            raise ConfigError(
                f"market table {name}.csv line {number}: expected {len(header)} fields without "
                f"quotes or commas inside, got {len(fields)}: {line!r}"
            )
        rows.append(dict(zip(header, fields, strict=True)))
    return tuple(rows)


@cache
def read_date(text: str) -> date:
    """An ISO date of a table. Cached: tables repeat a few dates many times."""
    return date.fromisoformat(text)


def require_date(value: date, field: str) -> date:
    """`value` if it is a plain date, else a refusal that names `field`.

    A datetime is refused because its time zone would decide the exchange's date.

    Raises:
        UsageError: not a `datetime.date`, or a `datetime.datetime`.
    """
    if isinstance(value, datetime) or not isinstance(value, date):
        raise UsageError(f"{field} must be a datetime.date (exchange date), got {value!r}")
    return value


def require_name(value: str, known: Iterable[str], field: str) -> str:
    """`value` if it is one of `known`, else a refusal that offers the nearest name.

    Raises:
        UsageError: unknown value.
    """
    names = sorted(set(known))
    if value in names:
        return value
    from difflib import get_close_matches  # only a refusal pays for this import

    near = get_close_matches(str(value).upper(), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UsageError(f"{field} {value!r} is not known{hint} Known: {', '.join(names)}")


def holds(row: Row, on: date) -> bool:
    """Whether `on` lies in the row's `from` and `to`, both ends included."""
    return read_date(row["from"]) <= on <= read_date(row["to"])


def in_force(rows: Sequence[Row], on: date, what: str, table: str) -> Row:
    """The row of `rows` that holds on a date.

    Args:
        rows: rows of one fact, each with `from` and `to`.
        on: exchange date.
        what: what errors call the fact.
        table: the table's name, for the remedy.

    Raises:
        OutOfCalendar: no row holds on that date.
    """
    for row in rows:
        if holds(row, on):
            return row
    raise missing(rows, on, what, table)


def missing(rows: Sequence[Row], on: date, what: str, table: str) -> OutOfCalendar:
    """The refusal for a date that no row covers: date, validity and remedy in one sentence."""
    span = "no dates at all"
    if rows:
        first, last = min(row["from"] for row in rows), max(row["to"] for row in rows)
        span = f"{first} to {last}"
    return OutOfCalendar(
        f"{what}: nothing known for {on}; market/tables/{table}.csv covers {span}. "
        f"Choose dates inside it, or add a row with its source"
    )


def weakest(marks: Iterable[str]) -> str:
    """The lowest of some confidence marks: a result is as good as its weakest fact."""
    return max(marks, key=CONFIDENCE.index)

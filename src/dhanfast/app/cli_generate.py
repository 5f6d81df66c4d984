"""`dhanfast generate`: a seeded market, written to a file that every other command reads."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.market.tickday import TickBatch, TickDay

SAID_EVERY_NS: Final = 2_000_000_000
FILE_BATCH: Final = 2**18  # records handed to the writer at a time: its row groups


@click.command(
    epilog="Example: dhanfast generate BANKNIFTY --from 2024-01-01 --to 2024-12-31 -o year.parquet"
)
@click.argument("symbol")
@click.option("--from", "start", required=True, metavar="DATE", help="First date, YYYY-MM-DD.")
@click.option("--to", "end", required=True, metavar="DATE", help="Last date, inclusive.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--kind",
    default="IDX",
    show_default=True,
    type=click.Choice(["IDX", "FUT"]),
    help="The index itself or its front-month future; a chain has both.",
)
@click.option(
    "--what",
    default="bars",
    show_default=True,
    type=click.Choice(["bars", "ticks", "chain"]),
    help="One-minute bars, the ticks of one instrument, or of index, future and options.",
)
@click.option("--ticks", type=int, metavar="N", help="Ticks wanted [default: a broker feed's].")
@click.option("--strikes", type=int, metavar="N", help="Strikes of a chain [default: 21].")
@click.option(
    "--depth",
    type=click.Choice(["5", "20", "200"]),
    help="Also write the books of this many levels; with Parquet to FILE.depth.parquet.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="FILE.parquet, or FILE.dfa for ticks in an archive; must not exist.",
)
def generate(
    symbol: str, start: str, end: str, seed: int, kind: str, what: str, ticks: int | None,
    strikes: int | None, depth: str | None, output: str,
) -> None:  # fmt: skip
    """Generate a market of SYMBOL; the file says that it is generated.

    Bars go over any dates, one minute each. Ticks and chains are one trading day a file: the whole
    day holds exactly the number of ticks asked for, however many.
    """
    from dhanfast.market.generate import STOCKS

    path = Path(output)
    _refuse_existing(path)
    first, last = _day(start, "from"), _day(end, "to")
    if symbol in STOCKS and what != "chain":
        raise UsageError(f"{symbol} is a stock, which comes with its contracts: add --what chain")
    if what == "bars":
        if path.suffix == ".dfa":
            raise UsageError(f"output: {path}: bars go to a .parquet file; an archive takes ticks")
        for name, value in (("ticks", ticks), ("strikes", strikes), ("depth", depth)):
            if value is not None:
                raise UsageError(f"--{name}: bars have none; add --what ticks or --what chain")
        _write_bars(path, symbol, first, last, seed, kind)
        return
    if first != last:
        raise UsageError(f"--to {last}: ticks are one day a file; give --from and --to alike")
    if what == "ticks" and strikes is not None:
        raise UsageError("--strikes: only a chain has them; add --what chain")
    if what == "ticks" and kind == "IDX" and depth is not None:
        raise UsageError("--depth: an index has no book; add --kind FUT or --what chain")
    from dhanfast.market.tickday import tick_day

    day = tick_day(
        symbol,
        first,
        seed=seed,
        ticks=ticks,
        strikes=0 if what == "ticks" else 21 if strikes is None else strikes,
        instruments=[kind] if what == "ticks" else None,
        depth_levels=int(depth or 0),
        batch=FILE_BATCH,
    )
    _write_ticks(path, day)


def _write_bars(
    path: Path, symbol: str, first: dt.date, last: dt.date, seed: int, kind: str
) -> None:
    from dhanfast.engine.generated import generated_bars
    from dhanfast.storage.bars import write_parquet

    bars = generated_bars(symbol, first, last, seed=seed, kind=kind)
    write_parquet(path, bars)
    click.echo(f"{path}: {len(bars.bars)} generated bars of {symbol} {kind}, seed {seed}", err=True)


def _write_ticks(path: Path, day: "TickDay") -> None:
    if path.suffix == ".dfa":
        from dhanfast.clock import SystemClock
        from dhanfast.engine.generated_ticks import archive_writer

        with archive_writer(path, day, clock=SystemClock()) as write:
            rows = drain(day, write)
    else:
        from dhanfast.storage.tick_parquet import depth_path, parquet_writer

        if day.depth_levels:
            _refuse_existing(depth_path(path))
        with parquet_writer(path, day) as write:
            rows = drain(day, write)
    books = f" and {rows} rows of books" if day.depth_levels else ""
    click.echo(f"{path}: {day.label}{books}, instruments {len(day.instruments)}", err=True)


def drain(day: "TickDay", write: Callable[["TickBatch"], None]) -> int:
    """Hand every batch of a day to a writer, saying now and then how far it is.

    Returns:
        The number of depth rows.
    """
    from dhanfast.clock import SystemClock

    clock = SystemClock()
    began = said = clock.now_ns()
    done = rows = 0
    for batch in day:
        write(batch)
        done, rows = done + len(batch.ticks), rows + len(batch.depth)
        now = clock.now_ns()
        if now - said > SAID_EVERY_NS:
            said = now
            rate = done / (now - began) * 1e3
            left = (day.ticks - done) / rate / 1e6
            click.echo(
                f"{done} of {day.ticks} ticks, {rate:.2f} million a second, {left:.0f} s left",
                err=True,
            )
    return rows


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise UsageError(f"output: {path} exists; name another file or remove it")


def _day(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a date; write YYYY-MM-DD") from None

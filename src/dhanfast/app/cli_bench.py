"""`dhanfast bench`: figures of this machine."""

import logging

import click

from dhanfast.app.edge import edge, print_json
from dhanfast.errors import UsageError


@click.group()
def bench() -> None:
    """Measure the engine on this machine.

    Example: dhanfast bench latency --seconds 20
    """


@bench.command("latency", epilog="Example: dhanfast bench latency --rate 5000 --seconds 20")
@click.option("--rate", type=click.IntRange(100, 50_000), default=5_000, show_default=True,
              metavar="N", help="Packets a second, all instruments together.")  # fmt: skip
@click.option("--orders", type=click.IntRange(1, 100), default=50, show_default=True,
              metavar="N", help="Orders a second: ticks of the traded future.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 120), default=20.0, show_default=True,
              metavar="S", help="How long.")  # fmt: skip
@click.option("--pin-core", type=click.IntRange(0), metavar="N", help="Core of the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge
def latency(rate: int, orders: int, seconds: float, pin_core: int | None, as_json: bool) -> None:
    """Time from a tick's frame to an order's bytes, stage by stage, on loopback.

    The whole engine runs: feed, journal, strategy, every limit of the risk gate, request, warm
    connection. The other side is a process of its own that refuses each order at once.
    """
    from dhanfast.app.live_build import require_live_extra

    require_live_extra()
    if orders * seconds > 7_500:
        raise UsageError(
            "--orders times --seconds must be at most 7500: a day has no more requests"
        )
    from dhanfast.app.latency_bench import measure

    logging.getLogger("dhanfast").setLevel(logging.ERROR)  # each order is refused: that is meant
    found = measure(rate, orders, seconds, pin_core=-1 if pin_core is None else pin_core)
    rows = found.rows()
    if as_json:
        print_json(
            {
                "packets": found.packets,
                "orders": found.orders,
                "microseconds": {name: {"samples": n} | figures for name, n, figures in rows},
            }
        )
        return
    click.echo(f"{found.packets:,} packets at {rate:,} a second, {found.orders:,} orders")
    click.echo(f"{'microseconds':<34}{'samples':>9}{'p50':>10}{'p99':>10}{'p99.9':>10}")
    for name, samples, figures in rows:
        told = "".join(f"{value:>10,.1f}" for value in figures.values())
        click.echo(f"{name:<34}{samples:>9,}{told}")
    echo, seen = rows[2][2], rows[1][2]
    if echo and seen:
        click.echo(f"the peer's p50 is {seen['p50'] / echo['p50']:.2f} times that of the echo")

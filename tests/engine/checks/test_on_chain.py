"""Decisions that are taken in on_chain are decisions: they are cut, counted, timed and compared."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.check_text import lookahead_text
from dhanfast.engine.checks import check_lookahead, check_strategy
from dhanfast.engine.checks.stage import Stage
from dhanfast.errors import UsageError
from dhanfast.strategies import Strategy
from tests.engine.test_chain_input import bars, file, seen_by

__all__ = ["file"]


class OnSets(Strategy):
    """Turns with each set, and looks at no bar: its on_bar is absent."""

    def on_start(self, m: Any) -> None:
        self.volatility = m.chain.atm_iv
        self.sets = 0

    def on_chain(self, ctx: Any, chain: Any) -> None:
        self.sets += 1
        if ctx.position == 0:
            ctx.buy(stop=50.0, target=70.0 + self.sets)
        else:
            ctx.exit()


class Remembers(OnSets):
    """The same, but its target is of what an earlier run has seen."""

    known: dict[int, float] = {}  # noqa: RUF012

    def on_chain(self, ctx: Any, chain: Any) -> None:
        highest = max([chain.atm_iv, *self.known.values()])
        self.known[chain.at_ns] = chain.atm_iv
        if ctx.position == 0:
            ctx.buy(stop=50.0, target=1.0 + 1e4 * (highest - chain.atm_iv))


class OnTicks(Strategy):
    """Nothing that a check could show it anything by."""

    def on_tick(self, ctx: Any, tick: Any) -> None:
        ctx.buy()


def test_wishes_of_sets_stand_in_the_bar_that_ends_with_them(file: Path) -> None:
    run = Stage(OnSets, bars(), settings=seen_by(file)).run(bars().bars)
    asked = run.decisions[run.decisions["action"] != 0]
    assert len(asked) == 50  # as many sets lie within trading hours
    assert asked["stop"][0] == 50.0 and asked["target"][0] == 71.0
    assert (asked["took_ns"] > 0).all()


def test_honest_sets_pass_and_are_counted(file: Path) -> None:
    got = check_lookahead(OnSets, bars(), settings=seen_by(file), cuts=4)
    assert got.passed and got.signals > 2 and not got.findings, got.findings
    assert check_strategy(OnSets, bars(), settings=seen_by(file)).signals == got.signals


def test_a_cheat_in_on_chain_is_caught(file: Path) -> None:
    Remembers.known.clear()
    got = check_lookahead(Remembers, bars(), settings=seen_by(file), cuts=2)
    assert "unrepeatable" in {one.code for one in got.findings}


def test_who_sees_ticks_only_is_still_refused() -> None:
    with pytest.raises(UsageError, match="defines on_tick and no on_bar"):
        Stage(OnTicks, bars())


class Idle(Strategy):
    """Asks for nothing."""

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.seen = bar.close


def test_who_asked_for_nothing_is_not_said_to_know_the_future() -> None:
    got = check_lookahead(Idle, bars(), cuts=2)
    text = lookahead_text(got)
    assert [one.code for one in got.findings] == ["no-signals"]
    assert "there was no decision that could be checked" in text and "came after" not in text

"""The option chain of a paper or live run: each set is journaled first, a restart repeats it."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.chainfeed import CHAIN_DTYPE
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.chain_watch import Asked, ChainWatch
from dhanfast.engine.live import LiveRun
from dhanfast.engine.live_engine import LivePlan
from dhanfast.engine.settings import Settings
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.journal import fields_of
from dhanfast.strategies import Market, Strategy
from tests.engine.live_stage import (
    FUTURE,
    PRICE,
    SECOND,
    Stage,
    at,
    journal_of,
    records_of,
    tick_at,
)
from tests.options.made import at as on_day
from tests.options.made import chain

MINUTE = 60 * SECOND


class Trader(Strategy):
    """Trades on the put-call ratio of each set, and writes down what it knew."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def on_start(self, m: Market) -> None:
        self.pcr = m.chain.pcr

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.seen.append(("bar", bar.start_ns, self.pcr.value, ctx.position))

    def on_chain(self, ctx: Any, chain: Any) -> None:
        self.seen.append(("set", chain.at_ns, ctx.now_ns, chain.pcr, ctx.position))
        if chain.pcr > 1.2:
            ctx.buy(stop=60, target=200)
        elif chain.pcr < 0.8:
            ctx.exit()


def one_set(pcr: float) -> Any:
    row = np.zeros(1, CHAIN_DTYPE)
    row["pcr"] = pcr
    return row


def paper(folder: Path, trader: Strategy, settings: Settings | None = None) -> LiveRun:
    return LiveRun(
        trader, symbol="BANKNIFTY", journal=journal_of(folder / "day.dfj"), instrument=FUTURE,
        first_ns=at("09:30"), settings=settings,
    )  # fmt: skip


def played(run: LiveRun, ratios: list[float]) -> int:
    """Ticks every ten seconds, a set half a minute into each minute; when it ended."""
    now, volume = at("09:30"), 0
    for pcr in ratios:
        for second in range(6):
            now += 10 * SECOND
            volume += 30
            run.loop.take_ticks(tick_at(now, PRICE, volume), now)
            if second == 2 and not math.isnan(pcr):
                assert run.loop.use_chain(one_set(pcr), now + SECOND)
    return now


RATIOS = [1.0, 1.3, math.nan, 1.1, 0.7, 1.25, 1.0]


def test_a_restart_sees_the_same_sets_and_decides_the_same(tmp_path: Path) -> None:
    trader = Trader()
    run = paper(tmp_path, trader)
    ends = played(run, RATIOS)
    sets = [seen for seen in trader.seen if seen[0] == "set"]
    assert [seen[3] for seen in sets] == [pcr for pcr in RATIOS if not math.isnan(pcr)]
    assert all(seen[1] == seen[2] for seen in sets), "decided when it came"
    held = [seen[-1] for seen in trader.seen if seen[0] == "bar"]
    assert 0 in held and max(held) > 0
    # The bar that a set came in sees it at its end; where none came, the last one.
    bars = [seen[2] for seen in trader.seen if seen[0] == "bar"]
    assert bars == [1.0, 1.3, 1.3, 1.1, 0.7, 1.25, 1.0]
    rows = run.rows_so_far()[1].tobytes()
    run.journal.close()

    old = records_of(tmp_path / "day.dfj")
    assert [kind for kind, _ in old].count(Kind.CHAIN) == len(sets)
    again = Trader()
    second = paper(tmp_path, again)
    second.journal.append_record(Kind.RESUME, b"{}", ends, vital=True)
    second.recover(old, ends)
    assert repr(again.seen) == repr(trader.seen)
    assert second.rows_so_far()[1].tobytes() == rows
    assert second.kernel.position == run.kernel.position
    result = second.so_far()
    assert result is not None
    assert result.data["chain"] == {"grade": "live", "expiry": "nearest", "sets": len(sets)}
    assert any("Chain figures are live" in note for note in result.notes)


def test_requests_of_a_live_day_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    """`recover` refuses a journal whose requests differ from those it makes."""
    first = Stage(tmp_path, Trader, live=True, plan=LivePlan(flatten_on_stop=False))

    async def act() -> None:
        await first.until(lambda: not first.engine.holds)
        for pcr in (1.0, 1.3):
            await first.wait(20)
            assert first.run.loop.use_chain(one_set(pcr), first.clock.now_ns())
        await first.until(lambda: first.position > 0)
        await first.wait(70)

    first.play(act)
    first.journal.close()
    old = records_of(tmp_path / "day.dfj")
    intents = [payload for kind, payload in old if kind == Kind.INTENT]
    assert len(intents) >= 2, "an entry and its stop"
    order = [kind for kind, _ in old]
    assert order.index(Kind.CHAIN) < order.index(Kind.INTENT), "the cause comes first"
    again = Stage(tmp_path, Trader, live=True, start="09:40", broker=first.broker)
    assert again.recovered is not None and again.position == first.position
    assert np.frombuffer(intents[0], INTENT_DTYPE)["kind"][0] == 1
    again.loop.close()

    other = [
        (kind, payload.replace(np.float64(1.3).tobytes(), np.float64(1.0).tobytes()))
        if kind == Kind.CHAIN else (kind, payload)
        for kind, payload in old
    ]  # fmt: skip
    fresh = tmp_path / "other"
    fresh.mkdir()
    forged = Stage(fresh, Trader, live=True)
    with pytest.raises(BadData, match="is not made again"):
        forged.run.recover(other, at("09:45"))
    forged.loop.close()


def test_rules_see_a_set_as_known_at_the_bars_end_even_when_the_bar_closes_later(
    tmp_path: Path,
) -> None:
    trader = Trader()
    run = paper(tmp_path, trader)
    opens = at("09:31")
    run.loop.take_ticks(tick_at(opens + SECOND, PRICE, 30), opens + SECOND)
    run.loop.use_chain(one_set(1.1), opens + 30 * SECOND)
    run.loop.use_chain(one_set(1.15), opens + MINUTE + SECOND // 10)  # before the bar is closed
    run.loop.poll(opens + MINUTE + SECOND)
    assert [seen[2] for seen in trader.seen if seen[0] == "bar"] == [1.1]


def test_old_figures_are_unknown_and_sets_outside_the_session_are_not_shown(tmp_path: Path) -> None:
    trader = Trader()
    settings = Settings(chain=ChainSettings(age_ns=90 * SECOND))
    run = paper(tmp_path, trader, settings)
    assert run.loop.use_chain(one_set(1.0), at("09:00"))
    played(run, [1.0, math.nan, math.nan, 1.1])
    assert [seen[3] for seen in trader.seen if seen[0] == "set"] == [1.0, 1.1]
    bars = [seen[2] for seen in trader.seen if seen[0] == "bar"]
    np.testing.assert_equal(bars, [1.0, 1.0, np.nan, 1.1])


def test_a_run_that_does_not_ask_takes_none_and_does_not_go_on_with_a_journal_of_them(
    tmp_path: Path,
) -> None:
    class Deaf(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            """Needs nothing."""

    deaf = paper(tmp_path, Deaf())
    assert deaf.figures == () and deaf.chain is None
    assert not deaf.loop.use_chain(one_set(1.0), at("09:31"))
    assert Kind.CHAIN not in [kind for kind, _ in records_of(tmp_path / "day.dfj")]
    other = tmp_path / "other"
    other.mkdir()
    run = paper(other, Trader())
    played(run, [1.0])
    with pytest.raises(BadData, match="figures of an option chain, which this run does not ask"):
        deaf.recover(records_of(other / "day.dfj"), at("09:35"))
    with pytest.raises(UsageError, match="chain set"):
        run.loop.use_chain(np.zeros(1), at("09:36"))


def test_the_journal_is_read_by_name(tmp_path: Path) -> None:
    run = paper(tmp_path, Trader())
    played(run, [1.25])
    run.journal.close()
    (payload,) = [each for kind, each in records_of(tmp_path / "day.dfj") if kind == Kind.CHAIN]
    told = fields_of(Kind.CHAIN, payload)
    told = json.loads(json.dumps(told, allow_nan=False))
    assert told["pcr"] == 1.25 and told["at_ns"] == told["wall_ns"] == at("09:30") + 31 * SECOND


# ---- asking the broker --------------------------------------------------------------------------


class Ear:
    """Takes figures."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def use_chain(self, row: Any, wall_ns: int) -> bool:
        self.rows.append(row[0].copy())
        return True


async def here(do: Any, *args: Any) -> Any:
    return do(*args)


def test_a_round_tells_the_figures_of_the_brokers_answer() -> None:
    now, then = chain(seed=1), chain(on_day("15:29"), seed=2)
    ear, clock = Ear(), ManualClock(now.at_ns)

    async def fetch() -> Asked:
        return Asked(now, then, True)

    names = ("pcr", "atm_iv", "call_oi_change", "iv_percentile_30")
    watch = ChainWatch(
        ear, clock, fetch, figures=names, near=5, past=[0.01] * 15 + [1.0] * 15, every_s=15.0,
        aside=here,
    )  # fmt: skip
    assert asyncio.run(watch.once()) == 15.0
    (row,) = ear.rows
    solved = options.solve_chain(now, math.log(1.0525))
    np.testing.assert_allclose(row["pcr"], solved.put_call_ratio())
    np.testing.assert_allclose(row["atm_iv"], solved.at_money_volatility(), rtol=1e-9)
    assert row["call_oi_change"] == float((now.call_oi - then.call_oi).sum())
    assert row["iv_percentile_30"] == 50.0
    assert np.isnan(row["max_pain"]) and watch.sets == 1


def test_a_closed_market_and_a_broker_that_fails_tell_nothing_and_end_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Any] = [
        Asked(chain(seed=1), None, False), BadData("no strikes"), BadData("no strikes"),
        Asked(chain(seed=1), None, True), *[BadData("gone")] * 9,
    ]  # fmt: skip
    ear, clock = Ear(), ManualClock(chain(seed=1).at_ns)

    async def fetch() -> Asked:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Asked)
        return found

    watch = ChainWatch(ear, clock, fetch, figures=("pcr", "put_oi_change"), near=5, past=(),
                       every_s=15.0, aside=here)  # fmt: skip

    async def rounds(count: int) -> list[float]:
        return [await watch.once() for _ in range(count)]

    with caplog.at_level("INFO"):
        assert asyncio.run(rounds(3)) == [15.0, 15.0, 30.0]
        assert watch.failures == 2 and watch.trouble == "no strikes" and not ear.rows
        assert asyncio.run(rounds(1)) == [15.0]
        assert watch.failures == 0 and len(ear.rows) == 1
        assert np.isnan(ear.rows[0]["put_oi_change"]), "nobody knows the session before"
        assert asyncio.run(rounds(9))[-1] == 60.0
    said = [record.message for record in caplog.records]
    assert sum("no strikes" in text for text in said) == 1, "once, until something else is wrong"
    assert any("is there again" in text for text in said)

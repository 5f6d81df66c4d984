"""Who decides in a live run: swaps, what fails, what a restart makes of it. In virtual time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.watch import Watch
from dhanfast.engine.live_engine import OPERATOR
from dhanfast.engine.seat import STOPPED, Misuse, python_parts
from dhanfast.errors import DhanfastError, JournalFailed, StrategyError, UsageError
from tests.engine.live_stage import PRICE, Stage, at
from tests.engine.seat_stand import (
    FAILS,
    LOT,
    RULES,
    figures,
    inputs_of,
    made,
    strategy,
)  # fmt: skip

# ---- swaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_a_swap_keeps_position_stop_target_and_day(tmp_path: Path, live: bool) -> None:
    first, second = strategy(tmp_path, "One"), strategy(tmp_path, "Two")
    stage = Stage(tmp_path, first, live=live, params={"enter": 1})
    seen: dict[str, Any] = {}

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        kernel = stage.run.kernel
        before = (kernel.stop_price, kernel.target_price, kernel.orders_sent)
        said = await stage.engine.command("swap", strategy=second, params='{"stop": "9"}')
        assert (kernel.stop_price, kernel.target_price, kernel.orders_sent) == before
        assert stage.position == LOT and stage.run.loop.gate_state == 0
        assert said["strategy"] == "two" and said["before"] == "one"
        assert "+30 units kept" in said["text"] and said["bars"] == 1
        assert made(stage).stop == 9.0 and made(stage).bars == [(PRICE / 100, 0)]
        await stage.wait(120)
        seen["bars"] = made(stage).bars
        stage.price = lambda now_ns: PRICE - 6_000
        await stage.until(lambda: stage.position == 0, 60)
        seen["fills"] = made(stage).fills

    stage.play(act)
    # It saw the first bar before it decided, with nothing held, and the others as they were.
    assert [held for _, held in seen["bars"]] == [0, LOT, LOT]
    assert seen["fills"] == 1, "the stop that the first one set has filled, and it was told"
    (told,) = inputs_of(stage.path)
    assert told["op"] == "swap" and told["params"] == {"enter": 0, "stop": 9.0}
    assert told["source"] == Path(second).read_text() and not told["handed"]
    result = stage.run.finish()
    assert [int(row["qty"]) for row in result.trades] == [LOT]
    assert any("more than one strategy decided: 1 swaps" in note for note in result.notes)


def test_what_is_saved_is_loaded_and_only_series_are_warm(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One", save="{'bars': len(self.bars), 'deep': [1, {'a': None}]}")
    second = strategy(tmp_path, "Two", save="{}")
    stage = Stage(tmp_path, first)

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 3, 300)
        said = await stage.engine.command("swap", strategy=second)
        assert said["handed"] and "given what it had saved" in said["text"]
        assert made(stage).loaded == {"bars": 3, "deep": [1, {"a": None}]}
        assert made(stage).bars == [], "its on_bar was not called"
        await stage.until(lambda: stage.run.kernel.bars_seen == 4, 90)
        assert made(stage).bars == [(PRICE / 100, 0)]
        assert made(stage).average.value == PRICE / 100, "two bars long, and known at once"
        said = await stage.engine.command("swap", strategy=second, fresh=True)
        assert not said["handed"] and made(stage).loaded is None and len(made(stage).bars) == 4

    stage.play(act)


def test_rules_are_warmed_up_as_if_they_had_always_been_there(tmp_path: Path) -> None:
    """A newcomer after n bars decides as one that began with the day, on the next bar."""
    path = tmp_path / "always.py"
    path.write_text(RULES)

    def price(now_ns: int) -> int:
        return PRICE + (now_ns - at("09:30")) // 10**9 * 10

    async def run(stage: Stage, swap: bool) -> int:
        await stage.until(lambda: stage.run.kernel.bars_seen == 6, 400)
        if swap:
            await stage.engine.command("swap", strategy=str(path))
        await stage.until(lambda: stage.position != 0, 120)
        return int(stage.run.kernel.bars_seen)

    held: dict[str, int] = {}
    (tmp_path / "a").mkdir()
    stage = Stage(tmp_path / "a", strategy(tmp_path, "One"), price=price)

    async def act() -> None:
        held["swapped"] = await run(stage, True)

    stage.play(act)
    assert held["swapped"] == 7, "its average was known on the first bar it decided on"


def test_a_swap_is_no_order_and_a_newcomer_decides_on_the_next_event(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One")
    eager = strategy(tmp_path, "Eager", on_bar="ctx.buy(stop=50.0)")
    stage = Stage(tmp_path, first)

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 2, 200)
        await stage.engine.command("swap", strategy=eager)
        assert stage.run.kernel.orders_sent == 0 and stage.run.kernel.broker.live == 0
        assert len(made(stage).bars) == 2, "it wished on both, and nobody heard"
        await stage.wait(3)
        assert stage.run.kernel.orders_sent == 0
        await stage.until(lambda: stage.position == LOT, 90)
        assert stage.run.kernel.bars_seen == 3

    stage.play(act)


BROKEN = {
    "syntax": ("def (", "cannot be imported"),
    "import": ("import no_such_module_of_anybody", "No module named"),
    "none": ("x = 1", "must hold exactly one strategy class"),
    "exit": ("raise SystemExit(3)", "SystemExit"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_newcomer_that_cannot_be_made_changes_nothing(tmp_path: Path, name: str) -> None:
    text, words = BROKEN[name]
    path = tmp_path / "broken.py"
    path.write_text(text)
    _refused(tmp_path, lambda: {"strategy": str(path)}, words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strategy": "momentun"}, "did you mean momentum"),
        ({"strategy": "momentum", "params": '{"emma": 3}'}, "no parameter of Momentum"),
        ({"strategy": "momentum", "params": '{"ema": 0}'}, "parameter ema must be in"),
        ({"strategy": "momentum", "params": "[1]"}, "params must be a JSON object"),
        ({"strategy": "momentum", "params": "{"}, "params must be a JSON object"),
        ({"strategy": "momentum", "expect": "vwap"}, "one decides now, and not vwap"),
        ({"strategy": "iron-condor"}, "is a legs file"),
        ({"strategy": "vix-regime"}, "looks at vix, of which a running engine keeps no history"),
    ],
)
def test_what_is_refused_changes_nothing(tmp_path: Path, given: dict[str, str], words: str) -> None:
    _refused(tmp_path, lambda: given, words)


@pytest.mark.parametrize(
    ("on_bar", "save", "load", "words"),
    [
        ("1 / 0", "", "", "on an earlier bar of the day: ZeroDivisionError"),
        ("", "{}", "raise ValueError('not mine')", "load: ValueError: not mine"),
    ],
)
def test_a_newcomer_that_raises_before_it_decides_changes_nothing(
    tmp_path: Path, on_bar: str, save: str, load: str, words: str
) -> None:
    _refused(
        tmp_path,
        lambda: {"strategy": strategy(tmp_path, "Bad", on_bar=on_bar, save=save or "", load=load)},
        words,
        save="{'a': 1}" if save else "",
    )


@pytest.mark.parametrize(
    ("save", "words"),
    [
        ("[1]", "must return a dict, returned list"),
        ("{'x': {1: 2}}", r"state['x'] has the key 1"),
        ("{'x': [float('nan')]}", r"state['x'][0] is nan, which JSON does not have"),
        ("{'x': (1,)}", r"state['x'] is a builtins.tuple: save plain data"),
        ("{'x': {3}}", r"state['x'] is a builtins.set"),
        ("{'x': 2**70}", "which 64 bits do not hold"),
        ("{'x': 'a' * 2_000_000}", "1,048,576 are allowed"),
        ("1 / 0", "save: ZeroDivisionError"),
    ],
)
def test_a_state_that_is_no_plain_data_is_refused(tmp_path: Path, save: str, words: str) -> None:
    _refused(tmp_path, lambda: {"strategy": strategy(tmp_path, "Two", save="{}")}, words, save=save)


def test_a_state_that_holds_itself_is_refused(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One", save="self.again()")
    Path(first).write_text(
        Path(first).read_text()
        + "\n    def again(self):\n        found = {}\n        found['x'] = found\n"
        "        return found\n"
    )
    stage = Stage(tmp_path, first)
    second = strategy(tmp_path, "Two", save="{}")

    async def act() -> None:
        with pytest.raises(StrategyError, match="nested more than 50 deep"):
            await stage.engine.command("swap", strategy=second)

    stage.play(act)


def _refused(
    folder: Path, asked: Callable[[], dict[str, str]], words: str, *, save: str = ""
) -> None:
    """A swap that is refused leaves everything as it is."""
    first = strategy(folder, "One", save=save)
    stage = Stage(folder, first, params={"enter": 1})

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        runner, one = stage.run.kernel.strategy, made(stage)
        before = figures(stage)
        with pytest.raises(DhanfastError) as raised:
            await stage.engine.command("swap", **asked())
        assert words in str(raised.value), str(raised.value)
        assert stage.run.kernel.strategy is runner and made(stage) is one
        assert figures(stage) == before
        await stage.wait(65)
        assert len(one.bars) == 2, "the old one goes on"

    stage.play(act)
    assert inputs_of(stage.path) == []


def test_a_full_journal_refuses_a_swap(tmp_path: Path) -> None:
    first, second = strategy(tmp_path, "One"), strategy(tmp_path, "Two")
    Path(second).write_text(Path(second).read_text() + "#" * 900_000)
    journal = {"segment_bytes": 1 << 16, "reserve_bytes": 1 << 14, "bytes_max": 1 << 19}
    stage = Stage(tmp_path, first, journal=journal)

    async def act() -> None:
        with pytest.raises(DhanfastError, match="the journal has no room for it"):
            await stage.engine.command("swap", strategy=second)
        assert stage.run.seat.now.name == "one"

    with pytest.raises(JournalFailed, match="cannot grow"):  # which ends any engine
        stage.play(act)
    assert inputs_of(stage.path) == []


# ---- one that fails ------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("way", ["flatten", "keep"])
def test_a_strategy_that_raises_is_stopped_alone(tmp_path: Path, way: str, live: bool) -> None:
    first = strategy(tmp_path, "One", on_bar=FAILS)
    seat = {"misuse": Misuse(way), "name": "mine"}
    stage = Stage(tmp_path, first, live=live, params={"enter": 1}, seat=seat)
    second = strategy(tmp_path, "Two", on_bar="ctx.buy(stop=10.0)")

    async def act() -> None:
        await stage.until(lambda: stage.run.seat.stops == 1, 300)
        await stage.wait(10)
        assert not stage.engine.stopping and stage.run.loop.error is None
        assert stage.engine.holds == {STOPPED} and stage.run.loop.gate_state == 1
        assert stage.position == (LOT if way == "keep" else 0)
        assert stage.run.seat.stopped == "mine raised: RuntimeError: third"
        assert "dhanfast strategy swap NEW" in stage.run.notes_now()[0]
        if way == "keep":
            stage.price = lambda now_ns: PRICE - 6_000
            await stage.until(lambda: stage.position == 0, 60)  # its stop still rests
            stage.price = lambda now_ns: PRICE
        await stage.engine.command("resume")
        assert stage.run.loop.gate_state == 1, "nobody decides: nothing to resume"
        sent = stage.run.kernel.orders_sent
        await stage.wait(120)
        assert stage.run.kernel.orders_sent == sent, "nobody decides"
        await stage.engine.command("swap", strategy=second)
        assert stage.engine.holds == set() and stage.run.loop.gate_state == 0
        assert stage.run.seat.stopped == "" and stage.run.notes_now() == []
        await stage.until(lambda: stage.position == LOT, 90)

    stage.play(act)
    assert [(told["op"], told.get("way")) for told in inputs_of(stage.path)] == [
        ("stop", way), ("swap", None)]  # fmt: skip
    assert stage.position == 0


def test_a_strategy_that_raises_on_a_fill_is_stopped_at_once(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One", on_fill="raise KeyError('fill')")
    stage = Stage(tmp_path, first, params={"enter": 1}, seat={"misuse": Misuse("flatten")})

    async def act() -> None:
        await stage.until(lambda: stage.run.seat.stops == 1, 90)
        assert stage.run.kernel.bars_seen == 1
        await stage.until(lambda: stage.position == 0, 10)

    stage.play(act)
    assert inputs_of(stage.path)[0]["text"] == "KeyError: 'fill'"


def test_keep_takes_back_an_entry_on_its_way(tmp_path: Path) -> None:
    """An entry that rests when its strategy is stopped must not fill into nobody's hands."""
    first = strategy(tmp_path, "One", on_fill="raise KeyError('x')")
    stage = Stage(tmp_path, first, live=True, params={"enter": 1},
                  seat={"misuse": Misuse("keep")})  # fmt: skip

    async def act() -> None:
        stage.broker.can_fill = lambda *given: 0  # the market is away: nothing fills
        await stage.until(lambda: stage.run.kernel.orders_sent == 1, 90)
        await stage.wait(1)
        assert stage.run.kernel.broker.live == 1 and stage.position == 0
        stage.run.seat._stop("memory", "a test says so")
        await stage.until(lambda: stage.run.kernel.broker.live == 0, 30)
        assert stage.position == 0

    stage.play(act)


@pytest.mark.parametrize("live", [False, True])
def test_a_newcomer_that_fails_on_its_first_bar_gives_the_seat_back(
    tmp_path: Path, live: bool
) -> None:
    first = strategy(tmp_path, "One")
    bad = strategy(tmp_path, "Bad", on_bar="if ctx.can_enter: raise ValueError('first')")
    stage = Stage(tmp_path, first, live=live, params={"enter": 1},
                  seat={"misuse": Misuse("flatten")})  # fmt: skip
    kept: list[Any] = []

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        one = made(stage)
        await stage.engine.command("swap", strategy=bad)
        assert made(stage) is not one
        await stage.until(lambda: stage.run.seat.rollbacks == 1, 90)
        assert made(stage) is one and stage.run.seat.stopped == ""
        assert stage.position == LOT and stage.engine.holds == set()
        assert [held for _, held in one.bars] == [0, LOT], "it has seen the bar it had missed"
        await stage.until(lambda: stage.run.kernel.bars_seen == 3, 90)
        assert len(one.bars) == 3
        kept.append(stage.run.seat.changes[-1][1])

    stage.play(act)
    assert kept == ["bad raised before its second bar (ValueError: first): "
                    "one decides again"]  # fmt: skip
    assert [told.get("way") for told in inputs_of(stage.path)] == [None, "rollback"]


def test_a_newcomer_that_fails_later_is_stopped_by_policy(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One")
    bad = strategy(tmp_path, "Bad", on_bar="if len(self.bars) == 4: raise ValueError('later')")
    stage = Stage(tmp_path, first, seat={"misuse": Misuse("keep")})

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 2, 200)
        await stage.engine.command("swap", strategy=bad)
        await stage.until(lambda: stage.run.seat.stops == 1, 200)
        assert stage.run.seat.rollbacks == 0 and stage.run.kernel.bars_seen == 4

    stage.play(act)


def test_the_one_before_may_fail_on_the_bar_it_missed(tmp_path: Path) -> None:
    """Rolled back, it raises on what it is shown: then nobody is left, and the policy holds."""
    first = strategy(tmp_path, "One", on_bar="if len(self.bars) == 2: raise OSError('old')")
    bad = strategy(tmp_path, "Bad", on_bar="if len(self.bars) == 2: raise ValueError('new')")
    stage = Stage(tmp_path, first, params={"enter": 1}, seat={"misuse": Misuse("flatten")})

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 1, 90)
        await stage.engine.command("swap", strategy=bad)
        await stage.until(lambda: stage.run.seat.stops == 1, 200)
        assert stage.run.seat.rollbacks == 1
        await stage.until(lambda: stage.position == 0, 10)

    stage.play(act)
    assert [told.get("way") for told in inputs_of(stage.path)] == [None, "rollback", "flatten"]
    before = figures(stage)
    stage.journal.close()
    after = Stage(tmp_path, first, params={"enter": 1}, start="09:50",
                  seat={"misuse": Misuse("flatten")})  # fmt: skip
    after.loop.close()
    assert figures(after)[7:12] == before[7:12]


def test_memory_that_grows_stops_the_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [100 << 20]
    monkeypatch.setattr("dhanfast.engine.seat.own_bytes", lambda: held[0])
    stage = Stage(tmp_path, strategy(tmp_path, "One"), params={"enter": 1},
                  seat={"misuse": Misuse("flatten", 50 << 20)})  # fmt: skip

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        held[0] += 50 << 20
        await stage.wait(5)
        assert stage.run.seat.stops == 0, "as much as is allowed"
        held[0] += 1 << 20
        await stage.wait(5)
        assert stage.run.seat.stops == 1 and stage.position == 0

    stage.play(act)
    (told,) = inputs_of(stage.path)
    assert told["why"] == "memory" and told["call"] == 0
    assert told["text"] == "the process grew by 51 MiB, 50 are allowed"


def test_a_swap_right_behind_a_stop_allows_entries_again(tmp_path: Path) -> None:
    """The service looks every 20 ms whether somebody decides: a swap may be quicker."""
    stage = Stage(tmp_path, strategy(tmp_path, "One"), seat={"misuse": Misuse("keep")})
    second = strategy(tmp_path, "Two")

    async def act() -> None:
        await stage.wait(6)
        stage.run.seat._stop("memory", "a test says so")
        assert stage.run.loop.gate_state == 1 and stage.engine.holds == set()
        await stage.engine.command("swap", strategy=second)
        assert stage.run.loop.gate_state == 0

    stage.play(act)


def test_an_operators_pause_outlives_a_swap(tmp_path: Path) -> None:
    stage = Stage(tmp_path, strategy(tmp_path, "One"))
    second = strategy(tmp_path, "Two")

    async def act() -> None:
        await stage.wait(6)
        await stage.engine.command("pause")
        said = await stage.engine.command("swap", strategy=second)
        assert "entries are still held: operator" in said["text"]
        assert stage.engine.holds == {OPERATOR} and stage.run.loop.gate_state == 1

    stage.play(act)


def test_only_one_is_made_at_a_time_and_a_change_in_between_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, strategy(tmp_path, "One"), seat={"misuse": Misuse("keep")})
    second = strategy(tmp_path, "Two")

    async def slow(work: Callable[[], Any], limit_s: float) -> Any:
        await stage.clock.sleep(5)
        return work()

    async def act() -> None:
        await stage.wait(6)
        stage.engine.beside = slow
        first = stage.loop.create_task(stage.engine.command("swap", strategy=second))
        await stage.wait(1)
        with pytest.raises(DhanfastError, match="another strategy is being made ready"):
            await stage.engine.command("swap", strategy=second)
        stage.run.seat._stop("memory", "in between")
        with pytest.raises(DhanfastError, match="another change came in between"):
            await first
        assert stage.run.seat.swaps == 0

    stage.play(act)


def test_a_strategy_that_something_stands_around_is_not_exchanged(tmp_path: Path) -> None:
    """Whatever was put around it would be gone, and nobody would have said so."""
    stage = Stage(tmp_path, strategy(tmp_path, "One"))
    second = strategy(tmp_path, "Two")

    async def act() -> None:
        await stage.wait(6)
        inside = stage.run.kernel.strategy
        around = Watch(inside, 8)
        stage.run.loop.put_strategy(around)
        with pytest.raises(UsageError, match="a blend of several"):
            await stage.engine.command("swap", strategy=second)
        assert stage.run.kernel.strategy is around and python_parts(around) == [inside]

    stage.play(act)


def test_a_misuse_is_checked() -> None:
    with pytest.raises(UsageError, match="on_error must be one of flatten, keep, stop, was no"):
        Misuse("no")
    with pytest.raises(UsageError, match="memory_max must not be negative"):
        Misuse("keep", -1)

"""Indicators that trials share: the same bytes as without, by any strategy, span and room."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.rules.graph import Graph
from dhanfast._core.rules.program import Field
from dhanfast.engine.research.memo import Memo
from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.shared import holding
from dhanfast.engine.research.trial import Bench, Job, Span
from dhanfast.engine.settings import Settings
from dhanfast.errors import DhanfastError
from dhanfast.reports.result import RunResult
from dhanfast.strategies import Market, Rules, RuleStrategy, param
from tests.core.rules.probe import columns_of, walk
from tests.engine.research.noise import random_walk


class Zoo(RuleStrategy):
    """Every kind of series: over bars, over others, by session, by position."""

    fast = param(5, low=2, high=50)
    wide = param(2.0, low=0.5, high=5.0)
    quiet = param(40, low=1, high=99)

    def rules(self, m: Market) -> Rules:
        """Enters on several of them at once; leaves by what is held, so a part runs row by row."""
        bands, trend = m.bollinger(self.fast + 10, self.wide), m.supertrend(10, self.wide)
        macd, adx, pivots = m.macd(self.fast, self.fast + 14, 9), m.adx(14), m.pivots()
        smooth = m.ema(self.fast, of=m.rsi(14))
        up = (m.close > m.sma(20)) & (smooth > self.quiet) & (macd.hist > 0)
        down = (m.close < m.ema(20)) & (smooth < 100 - self.quiet) & (adx.plus_di < adx.minus_di)
        turned = m.highest(self.fast).shift(2) > m.lowest(9).shift(1)
        early = m.opening_range(15).high < pivots.r1 * 2
        return Rules(
            long=up & turned & (m.zscore(20) > -3) & early,
            short=down & (m.close < bands.upper) & (m.session_mean() > 0),
            exit_long=(m.bars_held > 30) | (m.close < trend.line - 5),
            exit_short=m.bars_held > 20,
            stop=self.wide * m.atr(14),
        )


@cache
def made(strategy: Any = Zoo) -> Prepared:
    return prepared(strategy, random_walk(3, "2022-02-01", "2022-02-28"),
                    settings=Settings(capital=10**12))  # fmt: skip


def job(strategy: Any = Zoo) -> Job:
    found = made(strategy).job
    assert isinstance(found, Job)
    return found


def bench(room: int, strategy: Any = Zoo) -> Bench:
    with holding(made(strategy).arrays):
        return Bench(job(strategy), Memo(room))


def same(one: RunResult, other: RunResult) -> None:
    for name in ("trades", "orders", "equity", "days"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


POINTS = [{"fast": 5 + at % 4, "wide": 1.0 + at % 3, "quiet": 40 + at % 5} for at in range(24)]
SPANS = [(Span(0, 19),), (Span(5, 12, 2),), (Span(0, 4), Span(9, 14, 1))]


@pytest.mark.parametrize("strategy", [Zoo, "momentum", "momentum-python"])
def test_a_trial_that_reads_gives_the_bytes_of_one_that_computes(strategy: Any) -> None:
    plain, shared = bench(0, strategy), bench(2**26, strategy)
    points: Any = POINTS if strategy is Zoo else [{"ema": 5 + at % 3} for at in range(8)]
    for spans in SPANS:
        for point in points:
            same(shared.result(point, spans), plain.result(point, spans))
    assert plain._memo.recalled == plain._memo.used == 0
    assert shared._memo.recalled > shared._memo.computed
    trades = [len(shared.result(point, SPANS[0]).trades) for point in points]
    assert len(set(trades)) > 1 and min(trades) > 5


@given(room=st.integers(0, 600_000), order=st.lists(st.integers(0, 71), min_size=5, max_size=12))
@settings(max_examples=12, deadline=None)
def test_any_room_and_any_order_give_the_same(room: int, order: list[int]) -> None:
    plain, shared = bench(0), bench(room)
    for number in order:
        point, spans = POINTS[number % 24], SPANS[number // 24]
        same(shared.result(point, spans), plain.result(point, spans))
        assert shared._memo.used <= room
        tables = shared._memo._tables.values()
        assert shared._memo.used == sum(t.nbytes for kept in tables for t in kept.values())


def test_what_one_trial_alone_has_is_not_kept() -> None:
    shared = bench(2**26)
    for fast in range(3, 9):
        shared.result({"fast": fast}, SPANS[0])
    kept = {key[0] for table in shared._memo._tables.values() for key in table}
    assert {"atr", "rsi", "sma", "supertrend"} <= kept
    numbers = [key[2] for table in shared._memo._tables.values() for key in table
               if key[0] == "macd"]  # fmt: skip
    assert numbers == []  # each had another period


def test_keys_tell_apart_what_differs() -> None:
    def keys(period: int, of: str = "close") -> list[Any]:
        m = Market(graph := Graph())
        m.rsi(period, of=getattr(m, of) * 2.0)
        graph.compile()
        return graph.meanings()

    assert keys(14) == keys(14)
    assert keys(14) != keys(15)
    assert keys(14) != keys(14, "open")
    m = Market(graph := Graph())
    m.ema(3, of=m.vix)
    m.sma(3, of=m.bars_held)
    m.ema(3, of=m.ema(9, of=m.vix + 1.0))
    assert graph.meanings() == [None] * graph.size[0]


def test_an_operation_is_kept_and_read_in_blocks_of_any_size() -> None:
    bars = walk(700, 5)
    table = np.full((1, 700), np.nan)

    def run(piece: int, recall: bool | None) -> Any:
        programs = []

        def declare(m: Market) -> list[Any]:
            series = [m.rsi(14), m.ema(5, of=m.rsi(14))]
            if recall is not None:
                graph = series[0].graph
                program = graph.compile()
                op = [key[0] for key in graph.meanings()].index("rsi")
                program.keep(op, table, recall)
                programs.append((program, op))
            return series

        found = columns_of(declare, bars, piece)
        if programs:
            program, op = programs[0]
            assert program.reached(op) == 700
        return found

    expected = run(0, None)
    for piece, recall in ((0, False), (97, True), (1, True), (256, True), (33, False)):
        for got, wanted in zip(run(piece, recall), expected, strict=True):
            assert np.array_equal(got, wanted, equal_nan=True)
        assert np.array_equal(table[0], expected[0], equal_nan=True)


def test_what_cannot_be_kept_is_refused() -> None:
    m = Market(graph := Graph())
    series = [m.rsi(14), m.close > 3.0, m.ema(3, of=m.bars_held)]
    program = graph.compile()
    names = [None if key is None else key[0] for key in graph.meanings()]
    rsi, lt, held = names.index("rsi"), names.index("lt"), names.index(None)
    assert [program.outputs(op) for op in (rsi, lt, held)] == [1, 0, 0]
    for op, rows in ((rsi, np.zeros((2, 9))), (rsi, np.zeros((1, 0))), (lt, np.zeros((1, 9))),
                     (held, np.zeros((1, 9)))):  # fmt: skip
        with pytest.raises(ValueError, match="columns to keep"):
            program.keep(op, rows, False)
    with pytest.raises(ValueError, match="op must be in"):
        program.keep(99, np.zeros((1, 9)), False)
    with pytest.raises(ValueError, match="is not kept"):
        program.reached(rsi)
    program.keep(rsi, np.zeros((1, 9)), False)
    with pytest.raises(ValueError, match="is kept already"):
        program.keep(rsi, np.zeros((1, 9)), True)
    with pytest.raises(TypeError):
        program.keep(rsi, None, True)  # type: ignore[arg-type]
    assert len(series) == 3 and Field.CLOSE == 3


def test_other_bars_under_the_same_name_are_noticed() -> None:
    shared = bench(2**26)
    for _ in range(3):
        shared.result({}, SPANS[0])
    shared._to = shared._to.copy()
    shared._to[18] -= 10
    with pytest.raises(DhanfastError, match=r"showed .* bars to an indicator"):
        shared.result({}, SPANS[0])

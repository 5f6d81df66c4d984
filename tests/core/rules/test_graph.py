"""Expressions: shared nodes, labels, and everything that is refused."""

import inspect
from typing import Any

import numpy as np
import pytest

from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.rules.program import Field, Program
from dhanfast._core.rules.replay import node_values
from dhanfast._core.rules.runner import RuleRunner
from dhanfast.errors import StrategyError, UsageError
from dhanfast.strategies import Market, Rules, RuleStrategy, Strategy

from ..stand import OPEN, make, sessions
from .probe import SESSION_MINUTES, columns_of, walk


def test_the_same_expression_is_one_node_and_another_is_not() -> None:
    graph = Graph()
    m = Market(graph)
    one = (m.close > m.ema(9)) & (m.rsi(14) > 60)
    size = graph.size
    assert ((m.close > m.ema(9)) & (m.rsi(14) > 60)).column == one.column
    assert m.macd().hist.column == m.macd(12, 26, 9).hist.column != m.macd().line.column
    assert m.typical.column == m.typical.column
    assert m.constant(60).column == m.constant(60.0).column
    assert graph.size[0] == size[0] + 1 + 3  # one MACD, and the three steps of typical
    different = [m.ema(9), m.ema(10), m.sma(9), m.ema(9, of=m.open), m.close - m.ema(9)]
    assert len({line.column for line in different}) == len(different)


def test_explain_names_every_node_and_its_value_on_the_last_bar() -> None:
    rows = walk(120, 4)
    graph = Graph()
    m = Market(graph)
    rule = (m.close > m.ema(9)) & ~(m.rsi(14) > 60.123456)
    values = node_values(graph, rows, sessions(2, SESSION_MINUTES))
    close, ema, rsi, above, hot, answer = (
        column[-1]
        for column in columns_of(
            lambda m: [
                m.close,
                m.ema(9),
                m.rsi(14),
                m.close > m.ema(9),
                m.rsi(14) > 60.123456,
                (m.close > m.ema(9)) & ~(m.rsi(14) > 60.123456),
            ],
            rows,
        )
    )
    assert values == {
        "close": close,
        "ema(close, 9)": ema,
        "(ema(close, 9) < close)": above,
        "rsi(close, 14)": rsi,
        "60.123456": 60.123456,
        "(60.123456 < rsi(close, 14))": hot,
        "not((60.123456 < rsi(close, 14)))": 1.0 - hot,
        "((ema(close, 9) < close) & not((60.123456 < rsi(close, 14))))": answer,
    }
    assert rule.value == answer


def test_labels_tell_apart_what_differs_only_far_behind_the_point() -> None:
    graph = Graph()
    m = Market(graph)
    for limit in (48_000.51, 48_000.52):
        m.close > limit  # noqa: B015 - writing it down is the point
    labels = node_values(graph, walk(5, 1), sessions(1, SESSION_MINUTES))
    assert {"48000.51", "48000.52"} < set(labels)


def test_a_series_has_no_single_truth() -> None:
    m = Market(Graph())
    for wrong in (
        lambda: m.close > m.open and m.close > m.low,
        lambda: m.close > m.open or m.close > m.low,
        lambda: not (m.close > m.open),
        lambda: m.low < m.open < m.high,
        lambda: bool(m.close),
    ):
        with pytest.raises(StrategyError, match=r"combine rules with & \| ~"):
            wrong()


def test_a_series_of_another_strategy_is_refused() -> None:
    mine, foreign = Market(Graph()), Market(Graph())
    with pytest.raises(StrategyError, match="another strategy"):
        mine.close + foreign.close
    with pytest.raises(StrategyError, match="another strategy"):
        mine.ema(9, of=foreign.close)


@pytest.mark.parametrize("wrong", ["9", None, [1], (1,)])
def test_only_series_and_numbers_can_be_combined(wrong: Any) -> None:
    with pytest.raises(StrategyError, match=f"series or a number, got {type(wrong).__name__}"):
        Market(Graph()).close + wrong


def test_what_is_declared_late_is_refused() -> None:
    graph = Graph()
    m = Market(graph)
    known = m.ema(9)
    graph.compile()
    assert graph.compile() is graph.program
    for late in (lambda: m.ema(10), lambda: m.close + known, lambda: m.constant(4.25)):
        with pytest.raises(StrategyError, match="not later"):
            late()


def test_a_value_before_the_run_is_refused() -> None:
    with pytest.raises(StrategyError, match="only while the strategy runs"):
        _ = Market(Graph()).close.value


@pytest.mark.parametrize("column", [-1, 14, 10**6])
def test_a_column_that_does_not_exist_is_refused(column: int) -> None:
    with pytest.raises(ValueError, match=f"was {column}"):
        Expr(Graph(), column)
    with pytest.raises(ValueError, match=f"was {column}"):
        Graph().field(column)


WITH_PERIOD = [
    name
    for name, method in inspect.getmembers(Market, inspect.isfunction)
    if list(inspect.signature(method).parameters)[1:2] in (["period"], ["minutes"])
    and name != "percentile"
]
WRONG_PERIODS: list[Any] = [0, -1, 100_001, 2.5, True, "9", None, float("nan"), float("inf")]


@pytest.mark.parametrize("wrong", WRONG_PERIODS)
@pytest.mark.parametrize("name", WITH_PERIOD)
def test_a_period_out_of_range_names_itself(name: str, wrong: Any) -> None:
    assert len(WITH_PERIOD) > 20
    with pytest.raises(UsageError, match=r"must be a whole number in [12]\.\.100000, was"):
        getattr(Market(Graph()), name)(wrong)


@pytest.mark.parametrize(
    "wrong, text",
    [
        (lambda m: m.macd(26, 12), "fast must be below slow, was 26 and 12"),
        (lambda m: m.macd(12, 12), "fast must be below slow"),
        (lambda m: m.macd(1, 26), "fast must be a whole number"),
        (lambda m: m.macd(12, 26, 0), "signal must be"),
        (lambda m: m.rsi(1), r"2\.\.100000, was 1"),
        (lambda m: m.std(20, ddof=2), "ddof must be 0 or 1, was 2"),
        (lambda m: m.percentile(0, 50), "period must be a whole number"),
        (lambda m: m.percentile(20, 101), r"percent must be in 0\.\.100, was 101"),
        (lambda m: m.percentile(20, float("nan")), "percent must be"),
        (lambda m: m.bollinger(20, 0), "width must be"),
        (lambda m: m.supertrend(10, -1), "width must be"),
        (lambda m: m.vwap(1001), r"width must be in 0\.\.1000"),
        (lambda m: m.keltner(20, 2.0, 0), "atr must be"),
        (lambda m: m.realised_volatility(20, 0), "bars_a_year must be"),
        (lambda m: m.stochastic(14, 0), "smooth must be"),
        (lambda m: m.between("9.15", "10:00"), "start must be a time of day"),
        (lambda m: m.between("09:15", "25:00"), "end must be a time of day"),
        (lambda m: m.between("09:15+05:30", "10:00"), "start must be a time of day"),
        (lambda m: m.between("15:00", "09:15"), "start must be before end"),
    ],
)
def test_impossible_arguments_are_refused(wrong: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        wrong(Market(Graph()))


def _op(*parts: Any) -> Any:
    name, inputs, outputs, numbers, row_by_row = parts
    return (name, inputs, outputs, numbers, row_by_row)


@pytest.mark.parametrize(
    "columns, ops, text",
    [
        (13, [], "columns must be at least 14, was 13"),
        (15, [_op("sorcery", (3,), (14,), (), False)], "no operation is called 'sorcery'"),
        (15, [_op("add", (3, 15), (14,), (), False)], "column must be in 0..14, was 15"),
        (15, [_op("add", (3, -1), (14,), (), False)], "was -1"),
        (15, [_op("add", (3,) * 7, (14,), (), False)], "too many inputs"),
        (15, [_op("sma", (3,), (14,), (1, 2, 3, 4, 5), False)], "too many"),
        (
            16,
            [_op("abs", (10,), (14,), (), True), _op("abs", (3,), (15,), (), False)],
            "must come before those run row by row",
        ),
    ],
)
def test_a_broken_program_is_refused(columns: int, ops: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Program(columns, {}, ops)


def test_rows_of_a_program_are_checked() -> None:
    program = Graph().compile()
    assert program.column_count == Field.FIELDS and len(program.values(255)) == Field.FIELDS
    for row in (-1, 256):
        with pytest.raises(ValueError, match=f"row must be in 0..255, was {row}"):
            program.values(row)
    with pytest.raises(ValueError, match="column must be"):
        program.read_field(14)


def test_nodes_of_bars_outside_a_session_or_of_another_dtype_are_refused() -> None:
    rows = walk(3, 1)
    with pytest.raises(ValueError, match="BAR_DTYPE"):
        node_values(Graph(), np.zeros(3), sessions(1, SESSION_MINUTES))
    rows["start_ns"][-1] = OPEN + SESSION_MINUTES * 60_000_000_000
    with pytest.raises(ValueError, match="outside the sessions"):
        node_values(Graph(), rows, sessions(1, SESSION_MINUTES))


def test_nodes_skip_the_prints_before_the_open_as_a_run_does() -> None:
    rows = walk(40, 6)
    expected = columns_of(lambda m: [m.ema(9), m.bar_of_session], rows[5:].copy())
    rows["start_ns"][:5] -= 600_000_000_000  # minutes 0-4 become pre-open prints
    graph = Graph()
    m = Market(graph)
    m.ema(9) + m.bar_of_session  # writing it down is the point
    values = node_values(graph, rows, sessions(1, SESSION_MINUTES))
    assert values["ema(close, 9)"] == expected[0][-1]
    assert values["bar_of_session"] == len(rows) - 6  # from 0, five of them unseen


class Silent(RuleStrategy):
    """Without rules of its own."""


class Wrong(RuleStrategy):
    """Answers with a series instead of Rules."""

    def rules(self, m: Market) -> Rules:
        answer: Any = m.close > 1
        return answer


def test_a_rule_strategy_must_answer_with_rules() -> None:
    with pytest.raises(StrategyError, match="Silent must define rules"):
        Silent().runner(lambda at, text: None)
    with pytest.raises(StrategyError, match=r"Wrong\.rules must return Rules, was Expr"):
        Wrong().runner(lambda at, text: None)


def test_rules_of_two_strategies_do_not_mix() -> None:
    foreign = Market(Graph()).close > 1

    class Mixed(RuleStrategy):
        def rules(self, m: Market) -> Rules:
            return Rules(long=foreign)

    with pytest.raises(StrategyError, match="another strategy"):
        Mixed().runner(lambda at, text: None)


def test_the_runner_takes_series_only() -> None:
    graph = Graph()
    one = graph.constant(1)
    with pytest.raises(TypeError):
        RuleRunner(graph, one, one, one, one, one, None)  # type: ignore[arg-type]


def test_long_and_short_on_one_bar_is_neither_and_counted() -> None:
    class Torn(RuleStrategy):
        def rules(self, m: Market) -> Rules:
            return Rules(long=m.close > 0, short=m.bar_of_session < 3)

    runner: Any = Torn().runner(lambda at, text: None)
    kernel = make(runner, sessions(1, SESSION_MINUTES))
    kernel.run(walk(10, 2).view("u1"))
    assert (runner.conflicts, kernel.orders_sent) == (3, 1)


def test_numbers_stand_for_constant_series_in_rules() -> None:
    class Always(RuleStrategy):
        def rules(self, m: Market) -> Rules:
            return Rules(long=1, stop=0)

    kernel = make(Always(), sessions(1, SESSION_MINUTES))
    kernel.run(walk(5, 2).view("u1"))
    assert kernel.signals == 5 and kernel.orders_sent == 1


def test_a_strategy_may_read_fields_that_no_operation_uses() -> None:
    class Reader(Strategy):
        def on_start(self, m: Market) -> None:
            self.seen: list[tuple[float, ...]] = []
            self.fields = [m.close, m.volume, m.weekday, m.position, m.entry_price, m.bars_held]

        def on_bar(self, ctx: Any, bar: Any) -> None:
            self.seen.append(tuple(field.value for field in self.fields))
            if len(self.seen) == 2:
                ctx.buy()

    reader, rows = Reader(), walk(6, 3)
    make(reader, sessions(1, SESSION_MINUTES)).run(rows.view("u1"))
    at = np.array(reader.seen)
    np.testing.assert_array_equal(at[:, 0], rows["close"] / 100.0)
    np.testing.assert_array_equal(at[:, 1], rows["volume"])
    assert at[:, 3].tolist() == [0, 0, 1, 1, 1, 1]
    assert np.isnan(at[:2, 4]).all() and (at[2:, 4] == rows["open"][2] / 100.0).all()
    assert at[:, 5].tolist() == [0, 0, 1, 2, 3, 4]

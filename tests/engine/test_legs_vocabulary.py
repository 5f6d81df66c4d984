"""Structures with stops on the index, entries again and locks: money by hand, and what is told."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.types import Reason
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock
from dhanfast.engine.chain_source import RecordedChains
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.margin_settings import MarginSettings
from dhanfast.engine.settings import Settings
from dhanfast.market.tickday import tick_day
from dhanfast.reports.metrics import contradictions
from dhanfast.storage.chains import read_chains
from tests.engine.test_legs import chain_file, ns
from tests.engine.test_legs_replay import DAY, replayed

LOT = 30
CALL: dict[str, Any] = {"side": "sell", "right": "CE", "strike": "59100"}


def run(tmp_path: Path, shots: list[tuple[str, float, float]], legs: list[dict[str, Any]],
        settings: Settings | None = None, **plan: Any) -> Any:  # fmt: skip
    """Snapshots (time, index, premium of the call 59100) from 10:19 to 15:00."""
    rows = [(ns(at), spot, {59_100: (call, 50.0)}) for at, spot, call in shots]
    file = chain_file(tmp_path / "chain.parquet", rows)
    source = RecordedChains(read_chains(file), "BANKNIFTY")
    tree = {"underlying": "BANKNIFTY", "entry": "10:19", "late": "10m", "exit": "15:00"}
    return backtest_legs(plan_of(tree | {"leg": legs} | plan), source, settings)


def test_a_stop_on_the_index_by_hand_to_the_paisa(tmp_path: Path) -> None:
    """Decided at 10:19:21 with the index at 58,744.30; sold at 10:23:10 at 76.00 less a tick.

    100 points are reached at 58,844.30: not at 10:26:00 (58,844.25), at 10:29:00. Bought back at
    10:32:00 at 96.05 and a tick. Lot 30.
        gross   (75.95 - 96.10) x 30 = -604.50        turnover 2,278.50 + 2,883.00 = 5,161.50
        brokerage 2 x 20 = 40.00                      exchange 0.03503 % = 1.80807345 -> 1.81
        SEBI 0.0001 % = 0.0051615 -> 0.01             IPFT 0.0005 % = 0.0258075 -> 0.03
        stamp 0.003 % of 2,883 = 0.08649 -> 0         STT 0.1 % of 2,278.50 = 2.2785 -> 2
        GST 18 % of 41.81323495 = 7.52638229 -> 7.53  charges 51.38, net -655.88
    """
    result = run(tmp_path, [
        ("10:19:21", 58_744.30, 72.30), ("10:23:10", 58_750.20, 76.00),
        ("10:26:00", 58_844.25, 90.00), ("10:29:00", 58_844.30, 95.00),
        ("10:32:00", 58_700.00, 96.05), ("15:01:00", 58_700.00, 60.00),
    ], [CALL | {"stop": "100pts index"}])  # fmt: skip
    (trade,) = result.trades
    assert (trade["entry_value"], trade["exit_value"]) == (75_95 * LOT, 96_10 * LOT)
    assert trade["exit_reason"] == Reason.STOP_LOSS and trade["exit_ns"] == ns("10:32:00")
    assert trade["gross"] == -604_50
    day = result.days[-1]
    assert [
        int(day[name])
        for name in ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst", "charges")
    ] == [4000, 181, 1, 3, 0, 200, 753, 5138]
    assert result.equity["equity"][-1] - result.capital == -655_88
    ((at_ns, text),) = result.log
    assert text == "leg 1 (sell 1 CE 59100 nearest): stop on the index at 58,844.30"
    assert at_ns - ns("10:29:00") in (0, 1)  # a row ends behind its snapshot
    assert result.counters["index_stops"] == 1
    assert contradictions(result) == ()


def test_all_in_again_the_other_way_round_by_hand(tmp_path: Path) -> None:
    """Sold at 75.95, stop of the whole 600 rupees: 20 points of the premium.

    At 10:26:00 the call is at 95.95: -600.00, exactly. Out at 10:29:00 at 97.00 and a tick. A pause
    of five minutes from the decision: due at 10:31:00, the row of 10:32:00 decides, bought at
    10:35:00 at 100.00 and a tick. The exit at 15:00 is decided at 15:01, paid at 15:04: 130.00 less
    a tick.
        first  (75.95 - 97.05) x 30 = -633.00     second (129.95 - 100.05) x 30 = +897.00
    """
    result = run(tmp_path, [
        ("10:19:21", 58_744.30, 72.30), ("10:23:10", 58_750.20, 76.00),
        ("10:26:00", 58_800.00, 95.95), ("10:29:00", 58_800.00, 97.00),
        ("10:32:00", 58_800.00, 98.00), ("10:35:00", 58_800.00, 100.00),
        ("15:01:00", 58_900.00, 120.00), ("15:04:00", 58_900.00, 130.00),
    ], [CALL], stop="600", after_stop={"again": "asap-reverse", "pause": "5m"})  # fmt: skip
    first, second = result.trades
    assert (first["side"], first["gross"], first["exit_ns"]) == (-1, -633_00, ns("10:29:00"))
    assert (second["side"], second["gross"], second["entry_ns"]) == (1, 897_00, ns("10:35:00"))
    assert [text for _, text in result.log] == [
        "structure: stop of the whole at -600.00 rupees",
        "structure: entered again, the other way round",
    ]
    assert result.counters["structures_entered_again"] == 1
    assert any(note.startswith("1 times: entered again") for note in result.notes)
    assert contradictions(result) == ()


FALLS = [
    ("10:19:21", 58_744.30, 72.30), ("10:23:10", 58_750.20, 76.00), ("10:26:00", 58_800.00, 97.00),
    ("10:29:00", 58_800.00, 97.00), ("10:32:00", 58_800.00, 98.00), ("10:35:00", 58_800.00, 98.00),
    ("15:01:00", 58_900.00, 98.00), ("15:04:00", 58_900.00, 98.00),
]  # fmt: skip


def test_guards_and_margin_are_asked_before_all_go_in_again(tmp_path: Path) -> None:
    """The structure that comes again is a trade of its own: a second one, of another margin."""
    words: dict[str, Any] = {"stop": "600", "after_stop": {"again": "asap"}}
    assert len(run(tmp_path, FALLS, [CALL], **words).trades) == 2
    one = run(tmp_path, FALLS, [CALL], Settings(guards=GuardSettings(trades_max=1)), **words)
    assert len(one.trades) == 1 and one.counters["structures_entered_again"] == 0
    assert one.counters["entries_guarded"] > 0
    assert "structure: was to be entered again, and all was left for another reason first" in [
        text for _, text in one.log
    ]
    asked = run(tmp_path, FALLS, [CALL], Settings(margin=MarginSettings(short="refuse")), **words)
    assert len(asked.trades) == 2
    assert any("Margin was asked before 2 entries" in note for note in asked.notes)


def test_a_lock_and_a_leg_that_takes_all_out_are_told(tmp_path: Path) -> None:
    """At 56.00 the gain is 598.50; at 69.30 it is 199.50, below the 200 that are kept."""
    shots = [
        ("10:19:21", 58_744.30, 72.30), ("10:23:10", 58_750.20, 76.00),
        ("10:26:00", 58_800.00, 56.00), ("10:29:00", 58_800.00, 69.25),
        ("10:32:00", 58_800.00, 69.30), ("10:35:00", 58_800.00, 70.00),
        ("15:01:00", 58_900.00, 60.00),
    ]  # fmt: skip
    result = run(tmp_path, shots, [CALL], lock={"at": "500", "keep": "200"})
    assert [text for _, text in result.log] == [
        "structure: profit of the whole kept at 199.50 rupees"
    ]
    put = {"side": "sell", "right": "PE", "strike": "59100"}
    legs = [CALL | {"target": "25%"}, put]
    whole = run(tmp_path, shots, legs, square_off="complete")
    assert [text for _, text in whole.log] == [
        "leg 1 (sell 1 CE 59100 nearest): all leave with it, after its target"
    ]
    assert sorted(whole.trades["exit_ns"].tolist()) == [ns("10:26:00"), ns("10:29:00")]
    alone = run(tmp_path, shots, legs)
    assert not any("all leave" in text for _, text in alone.log)
    assert "structures_left_with_a_leg" not in alone.counters


EVERY_WORD: dict[str, Any] = {
    "underlying": "BANKNIFTY", "entry": "09:20", "exit": "15:00", "stop": "1500",
    "order": {"deadline": "5m"}, "trail": {"every": "500", "step": "400"}, "target": "2500",
    "lock": {"at": "1500", "keep": "700", "every": "500", "step": "250"},
    "after_stop": {"again": "asap-reverse", "times": 4, "pause": "3m"},
    "after_target": {"again": "momentum", "times": 4}, "again_until": "14:30",
    "move_to_cost": "stops",
    "leg": [
        {"side": "sell", "right": "CE", "strike": "otm1", "stop": "60pts index",
         "after_stop": {"again": "leg", "leg": 3}},
        {"side": "sell", "right": "PE", "strike": "otm1", "stop": "0.15% index",
         "wait": "high 2m", "after_stop": {"again": "momentum", "times": 3}},
        {"side": "buy", "right": "CE", "strike": "atm", "lazy": True, "target": "50pts index"},
    ],
}  # fmt: skip


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "generated.dfa"
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=30_000, strikes=11)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    return path


def test_a_recorded_day_with_every_word_is_the_same_however_it_is_cut(archive: Path) -> None:
    whole = replayed(archive, EVERY_WORD)
    assert replayed(archive, EVERY_WORD, cut=7).digest == whole.digest
    assert whole.counters["index_stops"] > 0
    assert whole.counters["structures_entered_again"] > 0
    assert whole.counters["legs_armed"] > 0
    assert len(whole.trades) > 4

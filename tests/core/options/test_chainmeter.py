"""Each figure of a chain against plain Python on the same snapshot."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast._core.chainfeed import FIGURES
from dhanfast._core.options.chainmeter import ChainMeter
from dhanfast.errors import BadData, UsageError
from tests.options.made import RATE, at, chain

COLUMNS = ("call", "put", "call_oi", "put_oi", "call_volume", "put_volume")
NEAR = 3


def columns_of(shot: options.Snapshot, names: tuple[str, ...] = COLUMNS) -> dict[str, Any]:
    return {name: getattr(shot, name) for name in names}


def meter_of(shot: options.Snapshot, **more: Any) -> ChainMeter:
    return ChainMeter(shot.strike, options.expiry_ns(shot.expiry), RATE, near=NEAR, **more)


def plain(
    shot: options.Snapshot, before: options.Snapshot | None = None, past: list[float] | None = None
) -> dict[str, float]:
    """Every figure by `solve_chain` and loops."""
    solved = options.solve_chain(shot, RATE)
    held = sorted(zip(-shot.put_oi, shot.strike, strict=True))
    open_ = sorted(zip(-shot.call_oi, shot.strike, strict=True))
    skew = solved.skew()
    found = {
        "forward": solved.forward,
        "atm_strike": float(shot.strike[solved.money]),
        "atm_iv": solved.at_money_volatility(),
        "straddle": solved.straddle(),
        "risk_reversal": skew.risk_reversal,
        "butterfly": skew.butterfly,
        "days_to_expiry": 365.0 * solved.years,
        "pcr": solved.put_call_ratio(),
        "pcr_near": solved.put_call_ratio("oi", NEAR),
        "pcr_volume": solved.put_call_ratio("volume"),
        "pcr_volume_near": solved.put_call_ratio("volume", NEAR),
        "call_oi": float(shot.call_oi.sum()),
        "put_oi": float(shot.put_oi.sum()),
        "support": held[0][1] if held[0][0] else np.nan,
        "resistance": open_[0][1] if open_[0][0] else np.nan,
        "max_pain": solved.max_pain(),
        "gamma_exposure": float(np.nansum(solved.gamma_exposure())),
    }
    for days in (30, 90, 252):
        try:
            now = options.standing(past or [], found["atm_iv"], days)
            found[f"iv_rank_{days}"], found[f"iv_percentile_{days}"] = now.rank, now.percentile
        except BadData:
            found[f"iv_rank_{days}"] = found[f"iv_percentile_{days}"] = np.nan
    for side in ("call", "put"):
        change, code = changed(shot, before, side, solved.money)
        found[f"{side}_oi_change"], found[f"{side}_build_up"] = change, code
    return found


def changed(
    shot: options.Snapshot, before: options.Snapshot | None, side: str, money: int
) -> tuple[float, float]:
    """Change of open interest, and the class near the money, strike by strike."""
    if before is None:
        return np.nan, np.nan
    then = {k: i for i, k in enumerate(before.strike.tolist())}
    change, known = 0.0, False
    sums = np.zeros(4)
    for i, strike in enumerate(shot.strike.tolist()):
        if strike not in then:
            continue
        j = then[strike]
        new, old = getattr(shot, f"{side}_oi")[i], getattr(before, f"{side}_oi")[j]
        change, known = change + new - old, True
        paid, was = getattr(shot, side)[i], getattr(before, side)[j]
        if abs(i - money) <= NEAR and paid > 0 and was > 0:
            sums += (was, paid, old, new)
    if not sums[0]:
        return (change if known else np.nan), np.nan
    return change, float(options.build_up(*sums[:2], *sums[2:]))


def check(got: Any, wanted: dict[str, float], names: tuple[str, ...] = FIGURES) -> None:
    for name in FIGURES:
        value = float(got[name][0])
        if name not in names:
            assert np.isnan(value), f"{name} was not asked for"
            continue
        tolerance = {"risk_reversal": 1e-7, "butterfly": 1e-7, "gamma_exposure": None}.get(name)
        if name == "gamma_exposure":
            np.testing.assert_allclose(value, wanted[name], rtol=1e-7, err_msg=name)
        else:
            np.testing.assert_allclose(value, wanted[name], rtol=1e-9, atol=tolerance or 1e-12,
                                       err_msg=name)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    drift=st.floats(-300.0, 300.0),
    tick=st.sampled_from([0.0, 0.05]),
    named=st.sets(st.sampled_from(FIGURES)),
)
def test_every_figure_is_that_of_plain_python(
    seed: int, drift: float, tick: float, named: set[str]
) -> None:
    rng = np.random.default_rng(seed)
    shot = chain(seed=seed, forward=25_180.0 + drift, tick=tick)
    before = chain(at("15:29", date(2026, 1, 21)), seed=seed + 1, tick=tick,
                   strikes=np.arange(23_000.0, 27_000.0, 200.0))  # fmt: skip
    past = (0.10 + 0.1 * rng.random(int(rng.integers(0, 300)))).tolist()
    wanted = plain(shot, before, past)
    then = {k: i for i, k in enumerate(before.strike.tolist())}
    there = np.array([then.get(k, -1) for k in shot.strike.tolist()])
    aligned = {
        name: np.where(there >= 0, getattr(before, name)[there], np.nan) for name in COLUMNS[:4]
    }
    for names in (FIGURES, tuple(sorted(named))):
        meter = meter_of(shot, figures=names, before=aligned, past=past)
        check(meter.look(shot.at_ns, **columns_of(shot)), wanted, names)


def test_ticks_leave_what_a_whole_look_gives() -> None:
    shot, rng = chain(seed=3, tick=0.05), np.random.default_rng(3)
    ticked = meter_of(shot)
    ticked.look(shot.at_ns, **columns_of(shot))
    count, n = 400, len(shot)
    place, put = rng.integers(0, n, count), rng.integers(0, 2, count)
    held = {name: getattr(shot, name).copy() for name in COLUMNS}
    price = np.empty(count)
    oi, volume = rng.integers(-1, 10**6, count), rng.integers(-1, 10**6, count)
    for i in range(count):
        side = "put" if put[i] else "call"
        held[side][place[i]] = price[i] = round(held[side][place[i]] * rng.uniform(0.99, 1.01), 2)
        for name, value in ((f"{side}_oi", oi[i]), (f"{side}_volume", volume[i])):
            if value >= 0:
                held[name][place[i]] = value
    later = shot.at_ns + 10**6 * np.arange(1, count + 1)
    got = ticked.follow(place, put, price, oi, volume, later)
    whole = meter_of(shot).look(int(later[-1]), **held)
    for name in FIGURES:
        np.testing.assert_allclose(got[name], whole[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_many_looks_are_the_looks_one_by_one() -> None:
    shots = [chain(at("10:00") + n * 10**9, seed=n, forward=25_180.0 + 20 * n) for n in range(6)]
    when = [shot.at_ns for shot in shots]
    call, put = (np.array([getattr(shot, side) for shot in shots]) for side in ("call", "put"))
    call[2, :] = 0.0
    put[3, 5:9] = np.nan
    many = meter_of(shots[0], past=[0.1] * 40).looks(when, call, put)
    single = meter_of(shots[0], past=[0.1] * 40)
    each = [single.look(now, oi_known=False, volume_known=False, call=call[i], put=put[i])
            for i, now in enumerate(when)]  # fmt: skip
    for got, wanted in zip(many, np.concatenate(each), strict=True):
        np.testing.assert_equal(got.tolist(), wanted.tolist())
    assert many["iv_rank_30"][0] > 0 and np.isnan(many["atm_iv"][2]) and np.isnan(many["pcr"][0])
    assert len(single.looks([], call[:0], put[:0])) == 0
    with pytest.raises(UsageError, match="a row a moment"):
        single.looks(when, call[:, 1:], put)
    with pytest.raises(UsageError, match="goes back"):
        single.looks(when, call, put)


def test_what_is_not_known_has_no_figures() -> None:
    shot = chain(seed=4)
    got = meter_of(shot).look(shot.at_ns, oi_known=False, volume_known=True, **columns_of(shot))
    for name in ("pcr", "support", "call_oi", "max_pain", "gamma_exposure", "put_oi_change"):
        assert np.isnan(got[name][0]), name
    assert got["pcr_volume"][0] > 0 and got["atm_iv"][0] > 0
    got = meter_of(shot).look(shot.at_ns + 1, volume_known=False, **columns_of(shot))
    assert np.isnan(got["pcr_volume_near"][0]) and got["pcr"][0] > 0
    empty = np.zeros(len(shot))
    got = meter_of(shot).look(shot.at_ns, call=empty, put=empty, call_oi=empty, put_oi=empty)
    assert all(np.isnan(got[name][0]) for name in ("forward", "atm_iv", "straddle", "support"))
    assert got["call_oi"][0] == 0.0 and got["days_to_expiry"][0] > 5.0


@pytest.mark.parametrize(("paid", "held", "code"), [
    (1.01, 1.01, options.BuildUp.LONG_BUILD_UP), (0.99, 1.01, options.BuildUp.SHORT_BUILD_UP),
    (1.01, 0.99, options.BuildUp.SHORT_COVERING), (0.99, 0.99, options.BuildUp.LONG_UNWINDING),
    (1.0005, 1.01, options.BuildUp.NONE), (1.01, 1.004, options.BuildUp.NONE),
])  # fmt: skip
def test_build_up_reads_both_signs(paid: float, held: float, code: options.BuildUp) -> None:
    before = chain(seed=5)
    meter = meter_of(before, before=columns_of(before, COLUMNS[:4]))
    got = meter.look(before.at_ns, call=paid * before.call, put=before.put,
                     call_oi=held * before.call_oi, put_oi=before.put_oi)  # fmt: skip
    assert got["call_build_up"][0] == code
    assert got["put_build_up"][0] == options.BuildUp.NONE
    assert got["put_oi_change"][0] == 0.0


def test_refusals() -> None:
    shot = chain(seed=6)
    with pytest.raises(UsageError, match="no chain figure 'pc'"):
        meter_of(shot, figures=["pc"])
    with pytest.raises(UsageError, match="past has a volatility"):
        meter_of(shot, past=[0.1, 0.0])
    with pytest.raises(UsageError, match="no column 'calls'"):
        meter_of(shot, before={"calls": shot.call})
    with pytest.raises(UsageError, match="put_oi has shape"):
        meter_of(shot, before={"put_oi": shot.put_oi[:-1]})
    with pytest.raises(UsageError, match="numbers in a column"):
        meter_of(shot).follow([0], [0, 1], [1.0], [1], [1], [shot.at_ns])
    with pytest.raises(UsageError, match="the chain is at"):
        meter = meter_of(shot)
        meter.look(shot.at_ns, **columns_of(shot))
        meter.look(shot.at_ns - 1, **columns_of(shot))

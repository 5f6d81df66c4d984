"""Series that can be downloaded, from the names that people use: the instrument list knows the ids.

An index, a share, a listed future or option, and options that have expired, which the broker keeps
by their distance from the money.
"""

import difflib
from collections.abc import Sequence
from datetime import date
from typing import Final

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import expiries
from dhanfast.market.instruments import Instrument, nse_symbol
from dhanfast.market.master import Contract, Master
from dhanfast.storage.downloads import KEY, Line, interval_text

INTERVALS: Final = {"1m": 60, "5m": 300, "15m": 900, "25m": 1500, "60m": 3600, "1d": 86_400}
MONEY_MAX: Final = 10  # steps from the money, at most; far from expiry the broker has three
RIGHTS: Final = ("CE", "PE")


def seconds_of(interval: str) -> int:
    """The length of a bar.

    Raises:
        UsageError: the broker has no bars of that length.
    """
    if interval not in INTERVALS:
        raise UsageError(f"--interval: {interval!r} is none of {', '.join(INTERVALS)}")
    return INTERVALS[interval]


def index_line(master: Master, symbol: str, interval: str) -> Line:
    """An index: NIFTY, BANKNIFTY, SENSEX, INDIA VIX.

    Raises:
        UsageError: the list has no index of that name.
    """
    found = _spot(master, symbol, "IDX")
    return _spot_line(found, "INDEX", f"{found.exchange}_INDEX", interval)


def equity_line(master: Master, symbol: str, interval: str) -> Line:
    """A share of NSE by its symbol.

    Raises:
        UsageError: the list has no share of that name.
    """
    return _spot_line(_spot(master, symbol, "EQ"), "EQUITY", "NSE_EQ", interval)


def future_line(master: Master, underlying: str, expiry: date, interval: str) -> Line:
    """A listed future.

    Raises:
        UsageError: the list has none; the message says which expiries there are.
    """
    segment = _segment(master, underlying)
    found = master.one(underlying, segment=segment, kind="FUT", expiry=expiry)
    return _contract_line(found, "FUTURE", interval)


def option_line(
    master: Master, underlying: str, expiry: date, strike: int, right: str, interval: str
) -> Line:
    """A listed option.

    Args:
        strike: paise. right: CE or PE.

    Raises:
        UsageError: the list has none; the message says which strikes or expiries there are.
    """
    segment = _segment(master, underlying)
    listed = master.strikes(underlying, expiry, segment=segment, right=right)
    if len(listed) and strike not in listed:
        near = sorted(listed.tolist(), key=lambda one: (abs(one - strike), one))[:4]
        words = ", ".join(f"{one / 100:g}" for one in sorted(near))
        raise UsageError(
            f"--strike: {underlying} {expiry} {right} has no {strike / 100:g}; near: {words}"
        )
    found = master.one(underlying, segment=segment, expiry=expiry, strike=strike, right=right)
    return _contract_line(found, "OPTION", interval)


def expired_lines(
    master: Master, underlying: str, cycle: str, code: int, money: Sequence[int],
    rights: Sequence[str], interval: str,
) -> list[Line]:  # fmt: skip
    """Options that have expired, each by its distance from the money.

    Args:
        cycle: WEEK or MONTH. code: 1 the next expiry, 2 the one after it, 3.
        money: steps from the strike nearest to the underlying. rights: CE, PE.

    Raises:
        UsageError: an unknown underlying, cycle, code, distance or right.
    """
    if cycle not in ("WEEK", "MONTH"):
        raise UsageError(f"--cycle: {cycle!r} is neither week nor month")
    if not 1 <= code <= 3:
        raise UsageError(
            f"--code: {code} must be 1, 2 or 3: the next expiry, the one after it, ..."
        )
    if not money or not rights or any(right not in RIGHTS for right in rights):
        raise UsageError("name at least one distance from the money, and CE, PE or both")
    for steps in money:
        if not -MONEY_MAX <= steps <= MONEY_MAX:
            raise UsageError(
                f"--money: {steps} must be from {-MONEY_MAX} to {MONEY_MAX}: the broker keeps no "
                "others"
            )
    if interval == "1d":
        raise UsageError("--interval: expired options have minutes only; use 1m to 60m")
    found = underlying_of(master, underlying)
    index = found.kind == "IDX"
    name = _plain(found.underlying or found.symbol)
    head = f"{name}-{cycle}{code}"
    return [
        Line(
            name=f"{head}-{f'ATM{steps:+d}' if steps else 'ATM'}-{right}",
            file=f"{head}-options_{interval}", kind="EXPIRED",
            hours=f"{found.exchange}_FNO", segment=f"{found.exchange}_FNO",
            security_id=found.security_id, instrument="OPTIDX" if index else "OPTSTK",
            interval_s=seconds_of(interval), underlying=name, right=right, cycle=cycle, code=code,
            money=steps,
        )
        for steps in sorted(set(money)) for right in RIGHTS if right in rights
    ]  # fmt: skip


def underlying_of(master: Master, symbol: str) -> Contract:
    """The index of a name, else the share of NSE: what options are on.

    Raises:
        UsageError: the list has neither.
    """
    found = _found(master, symbol, "IDX") or _found(master, symbol, "EQ")
    if found is None:
        raise UsageError(_unknown(master, symbol, "index or share"))
    return found


# ---- the list ----


def _found(master: Master, symbol: str, kind: str) -> Contract | None:
    """An index or a share by its name; of several, as of two exchanges, NSE's."""
    segments = ("IDX_I",) if kind == "IDX" else ("NSE_EQ",)
    rows = [int(row) for segment in segments
            for row in master.pick(symbol, segment=segment, kind=kind)]  # fmt: skip
    listed = [master.contract(row) for row in rows]
    exact = [one for one in listed if one.symbol == symbol] or listed
    exact.sort(key=lambda one: (one.exchange != "NSE", one.series != "EQ", one.security_id))
    return exact[0] if exact else None


def _spot(master: Master, symbol: str, kind: str) -> Contract:
    found = _found(master, symbol, kind)
    if found is None:
        raise UsageError(_unknown(master, symbol, "index" if kind == "IDX" else "share of NSE"))
    return found


def _unknown(master: Master, symbol: str, what: str) -> str:
    """What to say of a name that is in no list."""
    near = difflib.get_close_matches(symbol.upper(), list(master.underlyings), n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "look: dhanfast instruments find TEXT"
    return f"{symbol!r}: the instrument list has no {what} of that name; {hint}"


def _segment(master: Master, underlying: str) -> str:
    """Where the derivatives of an underlying trade.

    Raises:
        UsageError: nowhere.
    """
    for segment in ("NSE_FNO", "BSE_FNO"):
        if len(master.pick(underlying, segment=segment)):
            return segment
    raise UsageError(_unknown(master, underlying, "future or option"))


def _plain(symbol: str) -> str:
    """A name that can be a file's.

    Raises:
        UsageError: it cannot.
    """
    name = symbol.replace(" ", "")
    if not KEY.fullmatch(name):
        raise UsageError(f"{symbol!r} cannot be the name of a file")
    return name


def _spot_line(found: Contract, kind: str, hours: str, interval: str) -> Line:
    name = _plain(found.symbol if kind == "EQUITY" else found.underlying or found.symbol)
    return Line(
        name=name, file=f"{name}_{interval}", kind=kind, hours=hours, segment=found.segment,
        security_id=found.security_id, instrument=kind, interval_s=seconds_of(interval),
        underlying=name,
    )  # fmt: skip


def _contract_line(found: Contract, kind: str, interval: str) -> Line:
    assert found.expiry is not None  # derivatives have one
    name = _plain(_contract_name(found))
    right = found.kind if found.is_option else ""
    seconds = seconds_of(interval)
    return Line(
        name=name, file=f"{name}_{interval_text(seconds)}", kind=kind, hours=found.segment,
        segment=found.segment, security_id=found.security_id, instrument=found.instrument,
        interval_s=seconds, underlying=_plain(found.underlying), expiry=str(found.expiry),
        strike=found.strike, right=right,
    )  # fmt: skip


def _contract_name(found: Contract) -> str:
    """As the exchange writes it, or with the expiry in full where no table knows the contract."""
    assert found.expiry is not None
    known = found.underlying in expiries.underlyings()
    try:
        cycle = expiries.cycle_of(found.underlying if known else "STOCK", found.expiry)
        return nse_symbol(Instrument(found.underlying, found.kind, found.expiry, found.strike,
                                     cycle))  # fmt: skip
    except (OutOfCalendar, UsageError):
        tail = f"{found.strike / 100:g}{found.kind}" if found.is_option else "FUT"
        return f"{found.underlying}{found.expiry:%Y%m%d}{tail}"

"""What changed between two masters, against dictionaries compared by hand."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.market.master import Master
from dhanfast.market.master_csv import parse_master
from dhanfast.market.master_diff import ALARMS, NOTICES, Change, compare

from ..listing import (
    COMPACT,
    Row,
    as_csv,
    detailed_rows,
    option,
    options,
    read_plainly,
    share,
    to_compact,
)

DAY = date(2026, 7, 20)


def master(*rows: Row) -> Master:
    """The master of detailed rows."""
    return parse_master(as_csv(list(rows)), name="rows").master


def changes(old: Row, new: Row, day: date = DAY) -> list[tuple[str, Any, Any]]:
    """What changed between two files of one row each (and one that never changes)."""
    rest = share(SECURITY_ID="99")
    found = compare(master(old, rest), master(new, rest), day).changes
    return [(one.kind, one.old, one.new) for one in found]


def test_nothing_changed() -> None:
    rows = [*options(5), share()]
    found = compare(master(*rows), master(*rows), DAY)
    assert (found.changes, found.counts, found.not_compared) == ((), {}, ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"LOT_SIZE": "75"}, ("lot", 65, 75)),
        ({"TICK_SIZE": "10"}, ("tick", "0.05", "0.1")),
        ({"TICK_SIZE": "0.25"}, ("tick", "0.05", "0.0025")),
        ({"SM_FREEZE_QTY": "900"}, ("freeze", 1800, 900)),
        ({"SM_FREEZE_QTY": ""}, ("freeze", 1800, None)),
        ({"SM_EXPIRY_DATE": "2026-07-27"}, ("expiry", "2026-07-28", "2026-07-27")),
        ({"STRIKE_PRICE": "25100.50"}, ("reused", "NIFTY 2026-07-28 25000 CE",
                                        "NIFTY 2026-07-28 25100.50 CE")),
        ({"OPTION_TYPE": "PE"}, ("reused", "NIFTY 2026-07-28 25000 CE",
                                 "NIFTY 2026-07-28 25000 PE")),
        ({"UNDERLYING_SYMBOL": "FINNIFTY"}, ("reused", "NIFTY 2026-07-28 25000 CE",
                                             "FINNIFTY 2026-07-28 25000 CE")),
        ({"SM_EXPIRY_DATE": "2026-10-27", "LOT_SIZE": "75"},
         ("reused", "NIFTY 2026-07-28 25000 CE", "NIFTY 2026-10-27 25000 CE")),
    ],
)  # fmt: skip
def test_one_alarm(change: Row, expected: tuple[str, Any, Any]) -> None:
    assert changes(option(), option(**change)) == [expected]
    assert expected[0] in ALARMS


def test_names_bands_and_margins_change_every_day_and_are_no_news() -> None:
    new = option(DISPLAY_NAME="other", SM_UPPER_LIMIT="9", BUY_CO_MIN_MARGIN_PER="12")
    assert changes(option(), new) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"UNDERLYING_SYMBOL": "ETERNAL"}, [("renamed", "SYMA", "ETERNAL")]),
        ({"ISIN": "INE000A01019"}, [("isin", "INE000A01001", "INE000A01019")]),
        ({"ISIN": ""}, [("isin", "INE000A01001", None)]),
        ({"UNDERLYING_SYMBOL": "B", "ISIN": "INE9"},
         [("reused", "SYMA INE000A01001", "B INE9")]),
        ({"INSTRUMENT": "INDEX", "SEGMENT": "I", "TICK_SIZE": "0.05"},
         [("vanished", "SYMA INE000A01001", None), ("new", None, "SYMA INE000A01001")]),
    ],
)  # fmt: skip
def test_shares_are_told_by_symbol_and_isin(change: Row, expected: list[tuple[str, Any]]) -> None:
    assert changes(share(), share(**change)) == expected


def test_an_expired_contract_may_go_and_another_may_not() -> None:
    early, late = date(2026, 7, 28), date(2026, 7, 29)
    gone = master(option(), share()), master(share())
    assert [one.kind for one in compare(*gone, early).changes] == ["vanished"]
    assert [one.kind for one in compare(*gone, late).changes] == ["expired"]
    assert compare(master(option(), share()), master(option()), late).alarms[0].kind == "vanished"


def test_an_expired_id_that_is_listed_again_is_another_contract() -> None:
    """Six days apart, so by the distance alone it could be an expiry that moved."""
    later = option(SM_EXPIRY_DATE="2026-08-03")
    assert changes(option(), later, date(2026, 7, 28))[0][0] == "expiry"
    assert changes(option(), later, date(2026, 7, 29))[0][0] == "reused"


def test_forms_are_compared_in_what_both_have() -> None:
    detailed = master(option(), share())
    rows = [to_compact(option(LOT_SIZE="75")), to_compact(share())]
    compact = parse_master(as_csv(rows, COMPACT), name="c").master
    for one, other, sides in ((detailed, compact, (65, 75)), (compact, detailed, (75, 65))):
        found = compare(one, other, DAY)
        assert [(c.kind, c.old, c.new) for c in found.changes] == [("lot", *sides)]
        assert found.not_compared == ("freeze", "isin", "symbol", "underlying")


def test_alarms_come_first_and_ids_rise() -> None:
    old = [*options(4, first=1), share()]
    new = [*options(3, first=2, LOT_SIZE="75"), *options(1, first=50), share(ISIN="X")]
    new[0] |= {"STRIKE_PRICE": "20050.0"}
    found = compare(master(*old), master(*new), DAY)
    kinds = [one.kind for one in found.changes]
    assert kinds == sorted(kinds, key=[*ALARMS, *NOTICES].index)
    lots = [one.security_id for one in found.changes if one.kind == "lot"]
    assert lots == sorted(lots) and found.counts["new"] == 1
    assert [one.level for one in found.changes].index("notice") == len(found.alarms)


@given(rows=detailed_rows(), data=st.data())
def test_generated_changes_are_all_found(rows: list[Row], data: st.DataObject) -> None:
    """Against the plain reader: values of contracts that stay, and which come and go."""
    later = []
    for row in rows:
        fate = data.draw(st.sampled_from(["keep", "drop", "lot", "freeze", "tick"]))
        column = {"lot": "LOT_SIZE", "freeze": "SM_FREEZE_QTY", "tick": "TICK_SIZE"}.get(fate)
        if fate != "drop":
            text = "0.0250" if row["SEGMENT"] == "I" and fate == "tick" else "50"
            later.append(row | ({column: text} if column else {}))
    later.append(option(SECURITY_ID="777777"))
    before, after = read_plainly(as_csv(rows)), read_plainly(as_csv(later))
    wanted: set[Any] = set()
    for key in before.keys() | after.keys():
        if key not in after:
            expiry = before[key]["expiry"]
            wanted.add(("expired" if expiry and expiry < DAY else "vanished", *key))
        elif key not in before:
            wanted.add(("new", *key))
        else:
            for kind, name in (("lot", "lot"), ("freeze", "freeze"), ("tick", "tick_micros")):
                if before[key][name] != after[key][name]:
                    wanted.add((kind, *key))
    found = compare(master(*rows), master(*later), DAY)
    assert {(one.kind, one.segment, one.security_id) for one in found.changes} == wanted
    assert sum(found.counts.values()) == len(found.changes) == len(wanted)


def test_a_change_says_its_level() -> None:
    made = [Change(kind, "NSE_EQ", 1, "A", None, None) for kind in (*ALARMS, *NOTICES)]
    assert [one.level for one in made] == ["alarm"] * len(ALARMS) + ["notice"] * len(NOTICES)

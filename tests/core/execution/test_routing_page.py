"""docs/reference/order-routing.md against the code: every figure of its tables."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.execution.route import Router, RouteStyle, RouteWhy, Urgency, volatility

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "order-routing.md"
SECOND = 10**9
TICK = 5


def table(first: str) -> list[dict[str, str]]:
    """The rows of the table whose header starts with this cell; equal headers are numbered."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    names: list[str] = []
    for cell in lines[at].strip("|").split("|"):
        name = cell.strip()
        names.append(name if name not in names else f"{name} 2")
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(
            dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        )
    return rows


def paise(text: str) -> int:
    return int(Decimal(text) * 100) if text else 0


@pytest.mark.parametrize("row", table("premium from"), ids=lambda row: row["premium from"])
def test_the_slabs_of_the_page(row: dict[str, str]) -> None:
    share = Decimal(row["protection"].removesuffix(" %")) / 100
    for premium in (paise(row["premium from"]), (paise(row["below"]) or 10**6) - TICK):
        limit = Router().entry({"ask": premium, "tick": 1}, 1, 1, Urgency.URGENT).price
        assert limit == premium + max(int(premium * share), 1)


@pytest.mark.parametrize("row", table("to be taken"), ids=lambda row: row["to be taken"])
def test_the_limits_of_the_page(row: dict[str, str]) -> None:
    taken = paise(row["to be taken"])
    for name, side, quote in (("buy's limit", 1, "ask"), ("sell's limit", -1, "bid")):
        route = Router().entry({quote: taken, "tick": paise(row["tick"])}, side, 1, Urgency.URGENT)
        assert route.price == paise(row[name])


@pytest.mark.parametrize("row", table("order"), ids=lambda row: f"{row['order']} {row['urgency']}")
def test_the_examples_of_the_page(row: dict[str, str]) -> None:
    way, qty = row["order"].split()
    side = {"buy": 1, "sell": -1}[way]
    market: dict[str, Any] = {
        "bid": paise(row["bid"]), "ask": paise(row["ask"]), "last": paise(row["last"]),
        "bid_qty": int(row["quantity"] or 0), "ask_qty": int(row["quantity 2"] or 0),
        "volatility": float(row["volatility"] or 0), "tick": TICK,
    }  # fmt: skip
    router, urgency = Router(), Urgency[row["urgency"]]
    entry, exit_ = router.entry(market, side, int(qty), urgency), None
    assert (entry.price, entry.why) == (paise(row["entry"]), RouteWhy[row["style, reason"]])
    exit_ = router.exit(market, side, int(qty), urgency)
    assert (exit_.price, exit_.why) == (paise(row["exit"]), RouteWhy[row["style, reason 2"]])


def rungs() -> list[tuple[str, str, int]]:
    return [
        (row["urgency"], style, int(row[style].removesuffix(" s")))
        for row in table("urgency")
        for style in ("JOIN", "MID", "CROSS", "WIDE", "BAND")
        if row[style]
    ]


@pytest.mark.parametrize(("urgency", "style", "second"), rungs())
def test_the_ladder_of_the_page(urgency: str, style: str, second: int) -> None:
    market = {"bid": 100_00, "ask": 101_00, "bid_qty": 500, "ask_qty": 500, "tick": TICK}
    router, start = Router(), second * SECOND
    assert router.exit(market, -1, 75, Urgency[urgency], start).style == RouteStyle[style]
    if second:
        assert router.exit(market, -1, 75, Urgency[urgency], start - 1).style < RouteStyle[style]


def test_the_volatility_of_the_page() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert "a range of 12 rupees of one-minute bars is 0.97 rupees a second" in text
    assert round(volatility(12.0, 60 * SECOND), 2) == 0.97


def test_every_reason_and_style_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = {RouteWhy.UNROUTED, RouteWhy.CROSS_PATIENCE}
    for why in RouteWhy:
        assert why.name in text or why in told or why.name.startswith("LADDER_")
    for style in RouteStyle:
        assert style.name in text or style == RouteStyle.NOTHING

"""The report page: offline, escaped, its figures those of the run; and in a real browser."""

import dataclasses
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HEDGE_DTYPE, HedgeDone
from dhanfast.reports import extremes, groups, html, metrics
from dhanfast.reports.result import RunResult

Build = Callable[..., RunResult]
LOADS = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction"}
VOID = {"meta", "br", "hr", "img", "input", "link"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """Texts by id, all attributes, and whether elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.visible = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data
        if self.open and self.open[-1][0] not in ("script", "style"):
            self.visible += data + " "


def test_figures_on_the_page_are_those_of_the_run(result: RunResult) -> None:
    page = Page(html.report_page(result))
    assert page.open == []
    got = metrics.measure(result)
    assert page.texts["net"] == html.money(got.net)
    assert page.texts["charges"] == html.money(got.charges_total)
    assert page.texts["digest"] == result.digest
    for figure in (
        html.money(got.gross), html.money(got.trades.expectancy), html.money(got.days.worst),
        html.money(got.drawdown_amount), f"{got.sharpe:.2f}".replace("-", html.MINUS),
        html.share(got.trades.win_rate), "momentum on BANKNIFTY", "2022-01-03 to 2022-03-25",
    ):  # fmt: skip
        assert figure in page.visible
    for row in groups.by_exit_reason(result):
        assert html.money(row.net) in page.visible
    for month in groups.by_month(result):
        assert html.share(month.fraction) in page.visible
    data = json.loads(page.texts["data"])
    assert data["trades"]["gross"] == result.trades["gross"].tolist()
    assert data["reasons"]["1"] == "stop_loss"


def test_falls_excursions_and_habits_are_on_the_page(result: RunResult, idle: RunResult) -> None:
    page = Page(html.report_page(result))
    for fall in extremes.falls(result):
        assert (
            html.share(fall.fraction) in page.visible and html.money(-fall.amount) in page.visible
        )
    for row in groups.by_expiry(result):
        assert html.money(row.net) in page.visible
    for row in extremes.excursions(result):
        assert html.share(row.captured) in page.visible
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert {"falls", "excursions", "heat"} <= ids
    empty = {attrs.get("id") for _, attrs in Page(html.report_page(idle)).tags}
    assert not {"excursions", "heat"} & empty


def test_nothing_is_loaded_from_anywhere(result: RunResult) -> None:
    text = html.report_page(result)
    page = Page(text)
    for tag, attrs in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not LOADS & set(attrs), (tag, attrs)
    assert "@import" not in text and "url(" not in text
    addresses = set(re.findall(r"https?://[^\s\"')]+", text))
    assert addresses == {"https://github.com/leeoniya/uPlot"}  # in the licence comment of uPlot
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'")
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import("):
        assert word not in text


def hedged(result: RunResult, count: int) -> RunResult:
    """The run with decisions of a hedge: every third one was held back, the first is blind."""
    rows = np.zeros(count, HEDGE_DTYPE)
    rows["time_ns"] = 1_641_180_600_000_000_000 + 60_000_000_000 * np.arange(count)
    rows["why"], rows["done"] = HedgeWhy.BAND, HedgeDone.SENT
    rows["units"], rows["price"], rows["cost"] = -35, 5_275_005, 4_321
    rows["before"], rows["after"], rows["band"] = 41.25, 6.25, 15.0
    late = rows[::3]
    late["why"], late["done"], late["units"], late["cost"] = (
        HedgeWhy.WAITS,
        HedgeDone.HELD_BACK,
        0,
        0,
    )
    rows[:1]["why"], rows[:1]["before"] = HedgeWhy.BLIND, np.nan
    return dataclasses.replace(result, hedges=rows)


def test_a_hedged_run_has_its_decisions_on_the_page(result: RunResult) -> None:
    """Seven decisions: 0, 3 and 6 were held back, four were sent at 43.21 rupees each."""
    text = html.report_page(hedged(result, 7))
    page = Page(text)
    assert page.open == []
    told = " ".join(page.texts["hedge"].split())
    for words in ("Decisions, dealt", "7, 4", "140, ₹172.84", "41.2, 6.2, 15.0", "Band, sent",
                  "Too soon, held back", "No price, held back", "All 7 decisions"):  # fmt: skip
        assert words in told, words
    assert text.count('<td class="text">sent</td>') == 4
    assert (
        '<th scope="row">01-03 09:01</th><td class="text">band</td><td class="text">sent</td>'
    ) in text
    assert (
        f"<td>{html.MINUS}35</td><td>52750.05</td><td>+41.2</td><td>+6.2</td><td>15.0</td>" in text
    )


def test_a_long_hedge_is_cut_and_says_so_and_none_has_no_table(result: RunResult) -> None:
    text = html.report_page(hedged(result, 301))
    assert "The first 200 of 301 decisions; all are in hedges.parquet" in text
    assert text.count('<td class="text">sent</td>') + text.count(">held back</td>") == 200
    assert 'id="hedge"' not in html.report_page(result)
    empty = html.report_page(hedged(result, 0))
    assert Page(empty).open == [] and "Decisions, dealt</dt><dd>0, 0</dd>" in empty


def test_names_cannot_become_markup(result: RunResult) -> None:
    evil = "</script><script>alert(1)</script>"
    made = dataclasses.replace(
        result, strategy=evil, symbol=evil, traded=evil, timeframe=evil, digest=evil,
        notes=(evil,), config={evil: evil}, data={evil: evil}, counters={evil: 1},
        versions={evil: evil},
    )  # fmt: skip
    text = html.report_page(made)
    page = Page(text)
    assert "<script>alert" not in text
    assert page.open == []
    assert sum(tag == "script" for tag, _ in page.tags) == 3


def test_warnings_stand_at_the_top(make_result: Build) -> None:
    text = html.report_page(make_result(generated=True, notes=("prices are modelled",)))
    assert text.index("GENERATED DATA") < text.index("prices are modelled") < text.index('cards"')
    assert 'class="banner"' not in html.report_page(make_result())


def test_tables_are_reachable_and_named(result: RunResult) -> None:
    page = Page(html.report_page(result))
    assert ("html", {"lang": "en"}) in page.tags
    regions = [attrs for tag, attrs in page.tags if attrs.get("role") == "region"]
    assert len(regions) >= 6
    assert all(attrs.get("aria-label") and attrs.get("tabindex") == "0" for attrs in regions)
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if attrs.get("role") == "img")


def test_a_run_without_trades_or_rows_still_has_a_page(idle: RunResult) -> None:
    for made in (
        idle,
        dataclasses.replace(idle, bars=None, equity=idle.equity[:0], days=idle.days[:0]),
    ):
        page = Page(html.report_page(made))
        assert page.open == []
        assert "No trades." in page.visible and "n/a" in page.visible
        assert page.texts["net"] == "₹0.00"


@pytest.mark.parametrize("seed", range(4))
def test_the_histogram_leaves_no_trade_out(make_result: Build, seed: int) -> None:
    made = make_result(seed=seed)
    made.trades["gross"][3] *= 1000  # one that dwarfs the rest
    counts, edges = html.histogram(made)
    assert sum(counts) == 180
    assert len(edges) == len(counts) + 1 <= html.HISTOGRAM_BINS + 4
    assert 0.0 in edges
    net = metrics.trade_net(made.trades) / 1e8
    below = sum(count for count, right in zip(counts, edges[1:], strict=True) if right <= 0)
    assert below == int((net < 0).sum())


def test_the_histogram_of_equal_trades(make_result: Build) -> None:
    made = make_result(days=1, trades_a_day=1)
    for gross in (-500_000, 0, 500_000):
        made.trades["gross"] = gross
        assert sum(html.histogram(made)[0]) == 1
        assert Page(html.report_page(made)).open == []


def test_money_on_the_page() -> None:
    assert html.money(-123_456) == f"{html.MINUS}₹1,234.56"
    assert html.money(5, sign=True) == "+₹0.05"
    assert html.money(None) == "n/a"


def test_a_year_of_minutes_stays_small(make_result: Build) -> None:
    made = make_result(days=248, bars_a_day=375, trades_a_day=4)
    assert len(html.report_page(made).encode()) < 1_500_000
    html.report_page(made)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        html.report_page(made)
        took.append(time.perf_counter() - start)
    assert np.median(took) < 0.25  # 12 ms on an idle machine; this only catches a change of order


PROBE = """<script>
const painted = (id) => [...document.querySelectorAll(`#${id} canvas`)].map((canvas) => {
  const bits = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 3; i < bits.length; i += 4) count += bits[i] !== 0;
  return count;
});
const before = document.querySelector("#trades tbody tr td:nth-child(12)").textContent;
document.querySelector('[data-key="net"] button').click();
const first = document.querySelector("#trades tbody tr td:nth-child(12)").textContent;
document.querySelector('[data-days="1"]').click();
document.querySelector("#trades tbody button").click();
document.querySelector('[data-turn="1"]').click();
setTimeout(() => {
  document.body.insertAdjacentHTML("beforeend", `<p id="probe">${JSON.stringify({
    ready: document.documentElement.dataset.ready, before, first,
    equity: painted("equity"), drawdown: painted("drawdown"), price: painted("price"),
    rows: document.querySelectorAll("#trades tbody tr").length,
    wide: document.documentElement.scrollWidth - innerWidth,
  })}</p>`);
}, 500);
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: page not opened")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_draws_the_page(result: RunResult, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.report_page(result).replace("</body>", PROBE), "utf-8")
    flags = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-logging=stderr", "--virtual-time-budget=4000", f"--window-size={width},900",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [str(CHROMIUM), *flags, path.as_uri()], capture_output=True, text=True, timeout=120
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    found = re.search(r'<p id="probe">(.*?)</p>', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(found.group(1))
    assert seen["ready"] == "yes"
    for chart in ("equity", "drawdown", "price"):
        assert len(seen[chart]) == 1 and seen[chart][0] > 2000, chart
    nets = np.rint(metrics.trade_net(result.trades) / 10**6).astype(int)
    assert seen["before"] == html.money(int(nets[0])).replace("₹", "")
    assert seen["first"] == html.money(int(nets.min())).replace("₹", "")
    assert seen["rows"] == 100
    assert seen["wide"] <= 0  # nothing makes the page itself scroll sideways

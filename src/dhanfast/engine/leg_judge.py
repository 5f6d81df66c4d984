"""What decides how many structures of legs are sent: the rules of sizing, and the margin.

Asked once a structure, before its first leg leaves, and once for a leg that is entered again. In a
backtest, a replay and on paper the margin is estimated (`options.margin`) and the funds are the
books' equity. Live the broker is asked: the entry waits for the answer, which comes as an input of
the journal, and the contracts that were asked about are those that are sent.

What a judge says follows from what it was told and from nothing else.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from dhanfast._core.chainday import Missing
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.leg_margin import volatility_at
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_size import AtRisk, StructureSizer, Wanted, at_risk, structures_of
from dhanfast.engine.margin_settings import MarginSettings
from dhanfast.engine.settings import RiskSettings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.options.margin import margin_estimate
from dhanfast.options.payoff import Leg

LINES_MAX: Final = 4096  # that nobody has taken away
ESTIMATE: Final = "estimated"
BROKER: Final = "by the broker"
Row = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """What the broker is asked: orders that would be sent together.

    Attributes:
        number: rises by one a question. asked_ns: the market's time, UTC ns.
        orders: (contract's number, signed units, price in paise) each. times: structures.
    """

    number: int
    asked_ns: int
    orders: tuple[tuple[int, int, int], ...]
    times: int


@dataclass
class _Open:
    """A question that waits, and what to do without an answer."""

    question: Question
    wanted: list[Wanted]
    estimate: int  # paise, of all of it
    answer: tuple[int, int] | None = None


@dataclass
class Tally:
    """What the judge has decided, for the result.

    Attributes:
        asked: structures whose margin was looked at. fewest, most: sent at once.
        counts: by what happened.
    """

    asked: int = 0
    fewest: int = 0
    most: int = 0
    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Judge:
    """Decides how many structures are sent; see `LegRisk`.

    Args:
        plan: the structure. contracts: by number. margin, sizing, risk: settings.
        far: the broker is asked for margin and funds.
    Attributes:
        question: that waits for the broker; None: there is none. wanted: structures that the entry
        in hand was to have. tally: of all decisions.
    """

    def __init__(
        self,
        plan: StructurePlan,
        contracts: Contracts,
        margin: MarginSettings,
        sizing: SizingSettings,
        risk: RiskSettings,
        *,
        far: bool = False,
    ) -> None:
        self._plan, self._contracts, self._margin = plan, contracts, margin
        self._sizer = None
        if sizing != SizingSettings():
            self._sizer = StructureSizer(sizing, plan, risk)
        self._sized = sizing.method != "lots"
        self._far = far and margin.on
        self._open: _Open | None = None
        self._numbers = 0
        self._funds = (0, 0)  # as the last entry had them, and the equity then
        self.wanted = structures_of(plan)
        self.tally = Tally()
        self._lines: list[tuple[int, str]] = []

    # ---- what the native floor asks --------------------------------------------------------------

    def begin(
        self, rows: Sequence[Row], file_times: int, now_ns: int, spot: int, equity: int
    ) -> int:
        """How many structures are sent; 0 not yet; below 0 a `Missing`: none.

        Args:
            rows: fields of `Wanted`, a contract each, of one structure. file_times: structures of
            the file. spot: of the index, paise; 0 = unknown. equity: of the books, paise.
        """
        if self._open is not None:
            return self._answered(self._open, now_ns, equity)
        if spot <= 0:
            return 0
        wanted = [Wanted(*row) for row in rows]
        legs = [self._leg(one, now_ns, spot) for one in wanted]
        self.wanted = file_times
        if self._sizer is not None:
            risk = at_risk(self._plan, wanted, legs)
            self.wanted, explained = self._sizer.size(wanted, risk, equity)
            self._say(now_ns, _size_text(self.wanted, explained, risk))
            if self.wanted == 0:
                self.tally.counts["no_size"] += 1
                return -int(Missing.NO_SIZE)
        if not self._margin.on and not self._sized:
            return self._sent(self.wanted)
        required = self._estimated(legs, now_ns, spot) * self.wanted
        self.tally.asked += 1
        if self._far:
            self._numbers += 1
            orders = tuple((one.number, one.qty * self.wanted, one.price) for one in wanted)
            question = Question(self._numbers, now_ns, orders, self.wanted)
            self._open = _Open(question, wanted, required)
            return 0
        return self._weighed(required, equity, equity, now_ns, ESTIMATE)

    def again(
        self, row: Row, held: Sequence[Row], now_ns: int, spot: int, equity: int
    ) -> int:  # fmt: skip
        """Whether a leg goes in again beside what is held: 1, or 0. By the estimate, in all runs.

        Args:
            row: its contract, with all units that would be sent. held: what the others hold.
        """
        if not self._margin.on and not self._sized:
            return 1
        if spot <= 0:
            return 0
        legs = [self._leg(Wanted(*one), now_ns, spot) for one in (row, *held)]
        required = self._estimated(legs, now_ns, spot)
        funds, then = self._funds
        usable = self._usable(funds + equity - then)
        if required <= usable:
            return 1
        self.tally.counts["not_again"] += 1
        self._say(
            now_ns,
            f"margin: leg {row[0] + 1} is not entered again: all would need {_rs(required)} rupees "
            f"({ESTIMATE}), and {_rs(usable)} may be used",
        )
        return 0

    def closed(self, net: int, times: int) -> None:
        """An entry of `times` structures has ended with a result after charges, paise."""
        if self._sizer is not None:
            self._sizer.closed(net, times)

    def told(self, number: int, required: int, funds: int, now_ns: int) -> None:
        """The broker's answer; one to another question than the open one has no effect.

        Args:
            required, funds: paise; below 0 = the broker did not say.
        """
        if self._open is not None and self._open.question.number == number:
            self._open.answer = (required, funds)

    def drop(self) -> None:
        """The open question does not matter any more."""
        self._open = None

    # ---- what others ask -----------------------------------------------------------------------

    @property
    def question(self) -> Question | None:
        """What the broker is to be asked; None when nothing waits for it."""
        if self._open is None or self._open.answer is not None:
            return None
        return self._open.question

    @property
    def explained(self) -> dict[str, Any]:
        """What is known of closed entries, as Kelly sizing needs it."""
        return {} if self._sizer is None else self._sizer.explained

    def lines(self) -> list[tuple[int, str]]:
        """What was decided since the last call: (UTC ns, text)."""
        lines, self._lines = self._lines, []
        return lines

    # ---- how it decides ------------------------------------------------------------------------

    def _leg(self, one: Wanted, now_ns: int, spot: int) -> Leg:
        expiry, strike, right = self._contracts.keys[one.number]
        premium, level = one.price / 100.0, spot / 100.0
        told = volatility_at(
            premium, level, strike / 100.0, expiry, right, now_ns, self._contracts.underlying
        )
        return Leg(right, strike / 100.0, one.qty, premium, expiry, told)

    def _estimated(self, legs: Sequence[Leg], now_ns: int, spot: int) -> int:
        """Paise, rounded up. Of several structures it is as many times that."""
        found = margin_estimate(legs, self._contracts.underlying, now_ns, spot / 100.0)
        return ceil(100.0 * found.required - 1e-6)

    def _answered(self, waits: _Open, now_ns: int, equity: int) -> int:
        """What the open question has come to."""
        asked = waits.question
        if waits.answer is None:
            if now_ns - asked.asked_ns < self._margin.answer_ns:
                return 0
            waits.answer = (-1, -1)
            self._say(now_ns, f"margin: no answer in {self._margin.answer_ns / 1e9:g} s")
        required, funds = waits.answer
        self._open = None
        if required >= 0 and funds >= 0:
            # Bought premium is paid whatever the broker counts as margin.
            paid = sum(one.qty * one.price for one in waits.wanted if one.qty > 0) * asked.times
            return self._weighed(max(required, paid), funds, equity, now_ns, BROKER)
        if self._margin.without == "estimate":
            funds = funds if funds >= 0 else equity
            return self._weighed(waits.estimate, funds, equity, now_ns, ESTIMATE)
        self.tally.counts["unanswered"] += 1
        what = "margin" if required < 0 else "funds"
        self._say(now_ns, f"margin: not sent: the broker did not say the {what}")
        return -int(Missing.UNASKED)

    def _usable(self, funds: int) -> int:
        spare = -(-max(funds, 0) * self._margin.spare_e4 // 10_000)
        return max(funds - spare, 0)

    def _weighed(self, required: int, funds: int, equity: int, now_ns: int, source: str) -> int:
        """As many as the funds cover, or none."""
        usable = self._usable(funds)
        if required <= usable:
            self._funds = (funds, equity)
            return self._sent(self.wanted)
        times = 0
        if self._margin.short != "refuse":
            times = usable * self.wanted // required
        one = "1 structure needs" if self.wanted == 1 else f"{self.wanted} structures need"
        words = "none is sent" if times == 0 else f"{times} of them sent"
        self._say(
            now_ns,
            f"margin: {one} {_rs(required)} rupees ({source}), and {_rs(usable)} may be used: "
            f"{words}",
        )
        if times == 0:
            self.tally.counts["short"] += 1
            return -int(Missing.MARGIN)
        self.tally.counts["fewer"] += 1
        self._funds = (funds, equity)
        return self._sent(times)

    def _sent(self, times: int) -> int:
        tally = self.tally
        tally.fewest = times if tally.sent == 0 else min(tally.fewest, times)
        tally.most = max(tally.most, times)
        tally.sent += 1
        return times

    def _say(self, at_ns: int, text: str) -> None:
        if len(self._lines) < LINES_MAX:
            self._lines.append((at_ns, text))


def _rs(paise: int) -> str:
    return f"{paise / 100:,.2f}"


def _size_text(times: int, explained: dict[str, Any], risk: AtRisk | None) -> str:
    """How a size came, on one line."""
    what = "structure" if times == 1 else "structures"
    text = f"size: {times} {what} by {explained['method']}"
    if risk is not None:
        text += f"; one may lose {risk.rupees:,.2f} rupees by {risk.bound}"
    if explained["method"] == "kelly" and "edge" in explained:
        text += (
            f"; {explained['trades']} have closed, edge {explained['edge']:.4f}, shrunk by "
            f"{explained['shrink']:.4f}, {100 * explained['stake']:.3f} % of equity at stake"
        )
        if explained["fell_back"]:
            text += "; the file's lots, without an edge or with too few"
    if explained.get("cut", "NOTHING") != "NOTHING":
        text += "; cut to the freeze quantity or a limit"
    if explained["reason"] != "SIZED":
        text += f"; {explained['reason'].lower().replace('_', ' ')}"
    return text

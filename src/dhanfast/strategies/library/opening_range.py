"""Opening-range breakout: the first close outside the range of the session's first minutes.

Hypothesis: the first quarter of an hour takes in what came over night; a close outside its range is
the day's decision, and the other end of the range is where it was wrong.
Expected regime: days that gap or open on news and then go one way; on quiet days the first break
fails as often as not, and the second is not taken.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class OpeningRange(RuleStrategy):
    """Long on the first close above the opening range, short on the first one below it."""

    minutes = param(15, low=1, high=300, search=(5, 60, 5), doc="length of the range, minutes")
    last_bar = param(
        180, low=1, high=2000, search=(60, 330, 30),
        doc="bars of a session, from its first, in which a break is taken",
    )  # fmt: skip
    buffer = param(
        0.02, low=0, high=5, search=(0, 0.1, 0.01),
        doc="how far outside the range the close has to be, percent of the price",
    )  # fmt: skip
    height_min = param(
        0.15, low=0, high=50, search=(0, 0.5, 0.05),
        doc="least height of the range, percent of the price",
    )  # fmt: skip
    height_max = param(
        1.5, low=0, high=50, search=(0.75, 3, 0.25),
        doc="largest height of the range, percent of the price",
    )  # fmt: skip
    target_heights = param(
        2.0, low=0, high=20, search=(0.5, 4, 0.5),
        doc="target distance in heights of the range; 0 = none",
    )  # fmt: skip

    def rules(self, m: Market) -> Rules:
        """The first break of each side; the stop lies at the other end of the range."""
        first = m.opening_range(self.minutes)
        height, room = first.high - first.low, self.buffer / 100.0 * m.close
        above = m.close.crosses_above(first.high + room)
        below = m.close.crosses_below(first.low - room)
        percent = 100.0 * height / m.close
        taken = (
            (m.bar_of_session < self.last_bar)
            & (percent >= self.height_min)
            & (percent <= self.height_max)
        )
        return Rules(
            long=above & m.session_count(above).equals(1.0) & taken,
            short=below & m.session_count(below).equals(1.0) & taken,
            stop=above.where(m.close - first.low, first.high - m.close),
            target=self.target_heights * height,
        )

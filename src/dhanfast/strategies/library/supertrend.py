"""Supertrend: follow the line's direction from flip to flip.

Hypothesis: a close beyond a band several average ranges wide is a change of trend, and a trend
lasts longer than the band is wide.
Expected regime: long, steady moves with room for a wide stop; it pays the width of the band twice
whenever the market turns in less than that.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class SupertrendTrend(RuleStrategy):
    """Long when Supertrend turns up, short when it turns down, out at the next turn."""

    period = param(50, low=1, high=1000, search=(10, 120, 10), doc="period of the line's ATR, bars")
    width = param(7.0, low=0.5, high=50, search=(2, 12, 0.5), doc="width of the band in ATRs")
    adx = param(30, low=2, high=500, search=(14, 60, 2), doc="period of the ADX, bars")
    adx_min = param(
        0.0, low=0, high=100, search=(0, 30, 2.5),
        doc="entries need an ADX at or above this; 0 = any",
    )  # fmt: skip
    target_widths = param(
        0.0, low=0, high=20, search=(0, 4, 0.5),
        doc="target distance in distances of close and line; 0 = none",
    )  # fmt: skip

    def rules(self, m: Market) -> Rules:
        """From turn to turn; the stop lies on the line of the bar that turned."""
        trend = m.supertrend(self.period, self.width)
        up, down = trend.direction.crosses_above(0.0), trend.direction.crosses_below(0.0)
        room = abs(m.close - trend.line)
        moving = m.adx(self.adx).adx >= self.adx_min
        return Rules(
            long=up & moving,
            short=down & moving,
            exit_long=trend.direction < 0,
            exit_short=trend.direction > 0,
            stop=room,
            target=self.target_widths * room,
        )

"""Breakout: the close leaves the range of the last hours.

Hypothesis: the highest high and the lowest low of the last hours are where others have their orders
(resistance and support); a close beyond one, by more than noise, sets those off and goes on.
Expected regime: days that begin quietly and then decide; in a wide sideways market every break is a
false one, and each costs a stop and its charges.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class Breakout(RuleStrategy):
    """Long on a close above the resistance of the bars before it, short below their support."""

    lookback = param(
        120, low=2, high=2000, search=(30, 375, 15),
        doc="bars, without this one, whose high is resistance and whose low is support",
    )  # fmt: skip
    buffer_atr = param(
        0.25, low=0, high=10, search=(0, 1, 0.125),
        doc="how far beyond a level the close has to be, in ATRs",
    )  # fmt: skip
    adx = param(30, low=2, high=500, search=(14, 60, 2), doc="period of the ADX, bars")
    adx_min = param(
        15.0, low=0, high=100, search=(0, 35, 2.5), doc="entries need an ADX above this"
    )
    leave = param(
        60, low=2, high=2000, search=(15, 180, 15),
        doc="bars, without this one, beyond whose other end the close leaves",
    )  # fmt: skip
    atr = param(30, low=1, high=500, search=(14, 60, 2), doc="period of the ATR, bars")
    stop_atr = param(3.0, low=0, high=20, search=(1, 6, 0.5), doc="stop distance in ATRs; 0 = none")
    target_atr = param(
        9.0, low=0, high=60, search=(2, 20, 1), doc="target distance in ATRs; 0 = none"
    )

    def rules(self, m: Market) -> Rules:
        """A close that crosses a level which was known before it."""
        atr = m.atr(self.atr)
        room = self.buffer_atr * atr
        moving = m.adx(self.adx).adx > self.adx_min
        resistance = m.highest(self.lookback).shift(1)
        support = m.lowest(self.lookback).shift(1)
        return Rules(
            long=m.close.crosses_above(resistance + room) & moving,
            short=m.close.crosses_below(support - room) & moving,
            exit_long=m.close < m.lowest(self.leave).shift(1),
            exit_short=m.close > m.highest(self.leave).shift(1),
            stop=self.stop_atr * atr,
            target=self.target_atr * atr,
        )

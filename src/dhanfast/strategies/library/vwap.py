"""VWAP: with the session's average price, when it has a slope.

An index is not traded and has no volume, so it has no VWAP. `weight=volume` (the default) is the
real one, of bars of the future, and a run over bars without volume is refused. `weight=time` takes
the mean of the session's typical prices instead, in which every bar weighs the same. That is a
time-weighted average price, a TWAP, and another strategy: on days with a heavy open or close the
two lie apart by more than a stop.
Hypothesis: large orders are worked around the session's average price, so the side of it on which
the price settles, while the average itself moves that way, is the side of whoever is not finished.
Expected regime: sessions with one direction; in a flat one the price crosses the line all day.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class Vwap(RuleStrategy):
    """Long when the close crosses above a rising session average, short below a falling one."""

    weight = param(
        "volume", choices=("volume", "time"),
        doc="what a bar weighs: its volume, or 1 (time: a TWAP, for bars without volume)",
    )  # fmt: skip
    slope = param(
        30, low=1, high=300, search=(10, 60, 5),
        doc="bars over which the average has to have moved; so many of a session are left out",
    )  # fmt: skip
    room_atr = param(
        1.0, low=0, high=20, search=(0, 4, 0.5),
        doc="how far on the wrong side of the average the close leaves, in ATRs",
    )  # fmt: skip
    atr = param(30, low=1, high=500, search=(14, 60, 2), doc="period of the ATR, bars")
    stop_atr = param(3.0, low=0, high=20, search=(1, 6, 0.5), doc="stop distance in ATRs; 0 = none")
    target_atr = param(
        9.0, low=0, high=60, search=(2, 20, 1), doc="target distance in ATRs; 0 = none"
    )

    def rules(self, m: Market) -> Rules:
        """Cross with the slope; out on the wrong side."""
        line = m.vwap().middle if self.weight == "volume" else m.session_mean()
        atr, before = m.atr(self.atr), line.shift(self.slope)
        # So many bars into a session `before` is of the same session.
        begun = m.bar_of_session >= self.slope
        room = self.room_atr * atr
        return Rules(
            long=m.close.crosses_above(line) & (line > before) & begun,
            short=m.close.crosses_below(line) & (line < before) & begun,
            exit_long=m.close < line - room,
            exit_short=m.close > line + room,
            stop=self.stop_atr * atr,
            target=self.target_atr * atr,
        )

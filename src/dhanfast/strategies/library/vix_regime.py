"""VIX-regime switch: fade the bands while India VIX is low, follow breaks while it is high.

It looks at India VIX itself: at the last value known at a bar's end, so with daily data at the
close of the day before. A run has to be told (`risk.guards.vix.told`, `risk.guards.vix.data`), and
is refused otherwise.
Hypothesis: how dear options are says which of two markets it is: below `calm` moves are sold back
to the mean, above `storm` they go on; between the two neither holds, and it stands aside.
Expected regime: months in which VIX stays on one side; it has nothing to say about the day on which
VIX jumps.
"""

from dhanfast.errors import UsageError
from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class VixRegime(RuleStrategy):
    """Bollinger bounce below `calm`, breakout above `storm`, nothing between."""

    calm = param(16.0, low=3, high=150, search=(12, 18, 1), doc="VIX below this: bands are faded")
    storm = param(
        20.0, low=3, high=150, search=(18, 26, 1), doc="VIX from this on: breaks are followed"
    )
    period = param(
        60, low=2, high=1000, search=(20, 120, 10), doc="bars of the bands' mean and deviation"
    )
    width = param(2.5, low=0.1, high=10, search=(1.5, 3.5, 0.25), doc="half width in deviations")
    lookback = param(
        120, low=2, high=2000, search=(30, 375, 15),
        doc="bars, without this one, whose extremes a break has to pass",
    )  # fmt: skip
    atr = param(30, low=1, high=500, search=(14, 60, 2), doc="period of the ATR, bars")
    stop_atr = param(3.0, low=0, high=20, search=(1, 6, 0.5), doc="stop distance in ATRs; 0 = none")

    def rules(self, m: Market) -> Rules:
        """Two sets of rules, and the regime that says which of them speaks.

        Raises:
            UsageError: calm is above storm.
        """
        if self.calm > self.storm:
            raise UsageError(
                f"calm must not be above storm, was {self.calm:g} and {self.storm:g}: a VIX "
                "between them would be both"
            )
        calm, storm = m.vix < self.calm, m.vix >= self.storm
        bands = m.bollinger(self.period, self.width)
        above = m.close.crosses_above(m.highest(self.lookback).shift(1))
        below = m.close.crosses_below(m.lowest(self.lookback).shift(1))
        back_up, back_down = m.close >= bands.middle, m.close <= bands.middle
        return Rules(
            long=(calm & m.close.crosses_above(bands.lower)) | (storm & above),
            short=(calm & m.close.crosses_below(bands.upper)) | (storm & below),
            exit_long=(calm & back_up) | (storm & (m.close < bands.lower)),
            exit_short=(calm & back_down) | (storm & (m.close > bands.upper)),
            stop=self.stop_atr * m.atr(self.atr),
        )

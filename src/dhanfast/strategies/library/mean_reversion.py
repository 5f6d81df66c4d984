"""Mean reversion: the Bollinger bounce.

Hypothesis: in a market without a trend a close outside its bands is a few orders out of breath, not
news; once it comes back inside, it goes on to the mean.
Expected regime: quiet sessions that go sideways; it loses on every day with a trend, which is what
the ADX has to keep out and what the stop is for.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class MeanReversion(RuleStrategy):
    """Buys the close that comes back above the lower band, sells the mirror image; out at mean."""

    period = param(
        60, low=2, high=1000, search=(20, 120, 10), doc="bars of the bands' mean and deviation"
    )
    width = param(2.5, low=0.1, high=10, search=(1.5, 3.5, 0.25), doc="half width in deviations")
    adx = param(30, low=2, high=500, search=(14, 60, 2), doc="period of the ADX, bars")
    adx_max = param(
        25.0, low=0, high=100, search=(15, 40, 2.5), doc="entries need an ADX below this"
    )
    atr = param(30, low=1, high=500, search=(14, 60, 2), doc="period of the ATR, bars")
    stop_atr = param(3.0, low=0, high=20, search=(1, 6, 0.5), doc="stop distance in ATRs; 0 = none")

    def rules(self, m: Market) -> Rules:
        """The bounce, where there is no trend; out at the mean."""
        bands = m.bollinger(self.period, self.width)
        quiet = m.adx(self.adx).adx < self.adx_max
        return Rules(
            long=m.close.crosses_above(bands.lower) & quiet,
            short=m.close.crosses_below(bands.upper) & quiet,
            exit_long=m.close >= bands.middle,
            exit_short=m.close <= bands.middle,
            stop=self.stop_atr * m.atr(self.atr),
        )

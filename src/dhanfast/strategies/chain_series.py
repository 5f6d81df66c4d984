"""Figures of an option chain as series of rules: `m.chain.pcr`, `m.chain.atm_iv` and so on.

A figure is what the last look at the chain gave that was known at the bar's end. Definitions:
docs/reference/chain.md. From `pcr` on they need open interest or volume, which no model has.
"""

from dhanfast._core.rules.graph import Expr, Graph


class ChainSeries:
    """Figures of the option chain; each that is read is computed, and no other.

    Args:
        graph: where the expressions are written.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @property
    def forward(self) -> Expr:
        """The forward of put-call parity near the money, rupees."""
        return self._graph.chain("forward")

    @property
    def atm_strike(self) -> Expr:
        """The listed strike nearest to the forward, rupees."""
        return self._graph.chain("atm_strike")

    @property
    def atm_iv(self) -> Expr:
        """Volatility at the forward, a year, a fraction: 0.15 is 15 %."""
        return self._graph.chain("atm_iv")

    @property
    def straddle(self) -> Expr:
        """Call and put together at the strike at the money, rupees."""
        return self._graph.chain("straddle")

    @property
    def risk_reversal(self) -> Expr:
        """Volatility of the 25-delta call less that of the put, a fraction."""
        return self._graph.chain("risk_reversal")

    @property
    def butterfly(self) -> Expr:
        """Mean volatility of both 25-delta options less that at the money, a fraction."""
        return self._graph.chain("butterfly")

    @property
    def days_to_expiry(self) -> Expr:
        """Days of 24 hours to the chain's expiry, with their parts."""
        return self._graph.chain("days_to_expiry")

    @property
    def iv_rank_30(self) -> Expr:
        """Rank of `atm_iv` among 30 sessions before, 0..100; NaN before there are 30."""
        return self._graph.chain("iv_rank_30")

    @property
    def iv_rank_90(self) -> Expr:
        """Rank of `atm_iv` among 90 sessions before, 0..100."""
        return self._graph.chain("iv_rank_90")

    @property
    def iv_rank_252(self) -> Expr:
        """Rank of `atm_iv` among 252 sessions before, 0..100."""
        return self._graph.chain("iv_rank_252")

    @property
    def iv_percentile_30(self) -> Expr:
        """Share of 30 sessions before that were below `atm_iv`, 0..100."""
        return self._graph.chain("iv_percentile_30")

    @property
    def iv_percentile_90(self) -> Expr:
        """Share of 90 sessions before that were below `atm_iv`, 0..100."""
        return self._graph.chain("iv_percentile_90")

    @property
    def iv_percentile_252(self) -> Expr:
        """Share of 252 sessions before that were below `atm_iv`, 0..100."""
        return self._graph.chain("iv_percentile_252")

    @property
    def pcr(self) -> Expr:
        """Puts a call by open interest, all strikes."""
        return self._graph.chain("pcr")

    @property
    def pcr_near(self) -> Expr:
        """Puts a call by open interest, `near` strikes on each side of the money."""
        return self._graph.chain("pcr_near")

    @property
    def call_oi(self) -> Expr:
        """Open interest of all calls, units."""
        return self._graph.chain("call_oi")

    @property
    def put_oi(self) -> Expr:
        """Open interest of all puts, units."""
        return self._graph.chain("put_oi")

    @property
    def call_oi_change(self) -> Expr:
        """Change of the calls' open interest since the session before, units."""
        return self._graph.chain("call_oi_change")

    @property
    def put_oi_change(self) -> Expr:
        """Change of the puts' open interest since the session before, units."""
        return self._graph.chain("put_oi_change")

    @property
    def call_build_up(self) -> Expr:
        """`BuildUp` of the calls near the money since the session before, 0..4."""
        return self._graph.chain("call_build_up")

    @property
    def put_build_up(self) -> Expr:
        """`BuildUp` of the puts near the money since the session before, 0..4."""
        return self._graph.chain("put_build_up")

    @property
    def support(self) -> Expr:
        """The strike with most open puts, rupees."""
        return self._graph.chain("support")

    @property
    def resistance(self) -> Expr:
        """The strike with most open calls, rupees."""
        return self._graph.chain("resistance")

    @property
    def max_pain(self) -> Expr:
        """The strike at which writers pay least, rupees."""
        return self._graph.chain("max_pain")

    @property
    def gamma_exposure(self) -> Expr:
        """Rupees that dealers trade for a move of 1 %, all strikes."""
        return self._graph.chain("gamma_exposure")

    @property
    def pcr_volume(self) -> Expr:
        """Puts a call by volume of the day, all strikes."""
        return self._graph.chain("pcr_volume")

    @property
    def pcr_volume_near(self) -> Expr:
        """Puts a call by volume of the day, `near` strikes on each side of the money."""
        return self._graph.chain("pcr_volume_near")

"""What [risk.sizing] and [risk.stops] mean to the engine."""

from dhanfast.app.config_fields import Sizing, Stops
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory, daily_e6
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import ConfigError


def sizing_settings(told: Sizing) -> SizingSettings:
    """[risk.sizing].

    Raises:
        ConfigError: a value is of no use to the method that is chosen.
    """
    usual = Sizing()
    for method, names in (
        ("risk", ("risk",)),
        (
            "kelly",
            ("kelly_fraction", "kelly_cap", "kelly_trades_min", "kelly_fall_back", "history"),
        ),
        ("volatility", ("volatility", "volatility_per", "measure", "period")),
    ):
        for name in names:
            if told.method != method and getattr(told, name) != getattr(usual, name):
                raise ConfigError(
                    f'risk.sizing.{name} is of method = "{method}", and risk.sizing.method is '
                    f'"{told.method}": change the one or leave out the other'
                )
    past = told.history
    return SizingSettings(
        method=told.method,
        risk=told.risk.paise_of(0) if told.risk.rupees else 0,
        risk_e6=told.risk.share_e6,
        kelly_fraction=told.kelly_fraction.e4 / 10_000,
        kelly_cap_e6=told.kelly_cap.e4 * 100,
        kelly_trades_min=told.kelly_trades_min,
        kelly_fall_back=told.kelly_fall_back == "lots",
        history=TradeHistory(
            past.trades, past.win_rate.e4 / 10_000, float(past.win.paise), float(past.loss.paise)
        ),
        target_e6=daily_e6(told.volatility.e4, told.volatility_per),
        measure=told.measure,
        period=told.period,
        fit=told.fit,
    )


def stop_settings(told: Stops) -> StopSettings:
    """[risk.stops]."""
    return StopSettings(
        stop=told.stop.distance,
        target=told.target.distance,
        override=told.override,
        trail=told.trail.distance,
        trail_from=told.trail_from.distance,
        cost_at=told.cost_at.distance,
        cost_plus=told.cost_plus.distance,
        cost_charges=told.cost_charges,
        rest=told.rest,
        step_ticks=told.step_ticks,
        every_ns=told.every.ns,
        changes_max=told.changes_max,
        atr_period=told.atr_period,
        bars_max=told.bars_max,
        time_max_ns=told.time_max.ns,
        only_losing=told.only_losing,
    )

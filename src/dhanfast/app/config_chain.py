"""[chain]: the option chain that a strategy sees, and what the engine makes of it."""

from typing import Annotated as A
from typing import Literal

from msgspec import Meta

from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Duration
from dhanfast.engine.chain_settings import ChainSettings


class Chain(Section, frozen=True):
    """The option chain of a strategy that asks for figures of it (`m.chain`, `on_chain`)."""

    expiry: A[
        Literal["nearest", "next", "monthly"],
        Meta(description="Which expiry; the nearest is that day's until it has ended."),
    ] = "nearest"
    near: A[
        int,
        Meta(
            description="Strikes on each side of the money that near ratios and build-up count.",
            ge=0,
            le=100,
        ),
    ] = 5
    max_age: A[
        Duration, Meta(description="Older figures are unknown to rules; 0s = however old.")
    ] = Duration("15m")
    every: A[
        Duration,
        Meta(
            description="How often a paper or live run asks the broker for it, in the market's "
            "time; at least 3s, of the machine's time too."
        ),
    ] = Duration("15s")
    data: A[
        str,
        Meta(
            description="Of a backtest: a file of recorded snapshots, or a folder of them.",
            examples=["chains.parquet"],
        ),
    ] = ""
    volatility: A[
        str,
        Meta(
            description="Of a backtest without recorded chains: daily bars that premiums are "
            "modelled from; the result says so.",
            examples=["daily.parquet"],
        ),
    ] = ""
    history: A[
        str,
        Meta(
            description="File of volatilities a session that ranks compare with; of a paper or "
            "live run the user's own unless given.",
            examples=["volatility.sqlite"],
        ),
    ] = ""


def chain_settings(told: Chain) -> ChainSettings:
    """[chain]."""
    return ChainSettings(
        data=told.data,
        volatility=told.volatility,
        expiry=told.expiry,
        near=told.near,
        age_ns=told.max_age.ns,
        history=told.history,
    )

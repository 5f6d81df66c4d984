"""[risk.margin]: what is asked before a structure of legs is sent."""

from typing import Annotated as A
from typing import Literal

from msgspec import Meta

from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Duration, Percent
from dhanfast.engine.margin_settings import MarginSettings


class Margin(Section, frozen=True):
    """Whether a structure of legs has the funds it needs, before its first leg is sent."""

    short: A[
        Literal["off", "refuse", "fewer"],
        Meta(
            description="When the funds fall short: off asks nothing; refuse sends none of its "
            "legs; fewer sends as many structures as the funds cover."
        ),
    ] = "off"
    answer: A[
        Duration, Meta(description="Live: the broker's answer is waited for so long, 0.5s to 60s.")
    ] = Duration("3s")
    without: A[
        Literal["refuse", "estimate"],
        Meta(description="Live, without an answer: send nothing, or go by the estimate."),
    ] = "refuse"
    spare: A[Percent, Meta(description="Share of the funds that is left unused.")] = Percent("0%")


def margin_settings(told: Margin) -> MarginSettings:
    """What an engine takes of [risk.margin]."""
    return MarginSettings(
        short=told.short,
        answer_ns=told.answer.ns,
        without=told.without,
        spare_e4=told.spare.e4,
    )

from typing import Final

from typing_extensions import disjoint_base

from dhanfast._core.broker import Broker

@disjoint_base
class Jobs(Broker):
    inner: Final[Broker]
    children_sent: Final[int]
    children_refused: Final[int]

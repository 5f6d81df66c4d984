from typing import final

from dhanfast._core.strategy import NativeStrategy
from dhanfast.strategies.params import Param, Value

@final
class MomentumCython(NativeStrategy):
    def __init__(self, *args: object, **values: object) -> None: ...
    @classmethod
    def params(cls) -> dict[str, Param]: ...
    def settings(self) -> dict[str, Value]: ...

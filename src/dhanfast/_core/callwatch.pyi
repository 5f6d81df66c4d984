from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar, final

_Result = TypeVar("_Result")

@final
class CallWatch:
    idle: bool
    limit_text: Final[str]
    def __new__(cls, limit_ns: int, who: str, fd: int = 2) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def call(self, function: Callable[[], _Result], *, native: bool = False) -> _Result: ...
    @property
    def signals(self) -> int: ...
    @property
    def stuck(self) -> int: ...

from collections.abc import Sequence
from typing import Any, Self, final

@final
class RequestBook:
    def __new__(
        cls,
        host: str,
        base: str,
        client_id: str,
        tag: str,
        instruments: Sequence[tuple[str, str, str]],
        *,
        leg: str = "ENTRY_LEG",
    ) -> Self: ...
    def set_token(self, token: str) -> None: ...
    def request(self, intent: Any) -> bytes: ...
    def ping(self, path: str) -> bytes: ...
    @property
    def base(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def tag(self) -> str: ...

from collections.abc import Callable
from typing import Any

class Courier:
    on_answer: Callable[[Any], None] | None
    def carry_intent(self, intent: Any) -> None: ...

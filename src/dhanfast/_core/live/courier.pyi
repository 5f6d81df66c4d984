from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

@disjoint_base
class Courier:
    on_answer: Callable[[Any], None] | None
    def carry_intent(self, intent: Any) -> None: ...

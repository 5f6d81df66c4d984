"""A strategy whose knowledge is put into it from outside."""

from typing import Any

from dhanfast.strategies import Strategy


class Ahead(Strategy):
    """Decides by a table that somebody put into the class: the bars to come."""

    table: dict[int, float] = {}  # noqa: RUF012

    def on_bar(self, ctx: Any, bar: Any) -> None:
        """Long before a rise, short before a fall."""
        later = self.table.get(bar.start_ns)
        if later is not None and ctx.position == 0:
            (ctx.buy if later > 0 else ctx.sell)(stop=60.0, target=60.0)

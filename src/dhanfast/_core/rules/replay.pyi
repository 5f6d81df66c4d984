from typing import Any

from numpy.typing import NDArray

from dhanfast._core.rules.graph import Graph

def node_values(graph: Graph, bars: NDArray[Any], sessions: NDArray[Any]) -> dict[str, float]: ...

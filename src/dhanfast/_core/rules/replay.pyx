"""Run a compiled graph over bars outside the kernel, to look at its nodes."""

from libc.stdint cimport uint8_t, uint32_t

from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.rules.program cimport ROWS, Program
from dhanfast._core.types cimport Bar

import numpy as np

from dhanfast._core.types import BAR_DTYPE


def node_values(Graph graph not None, bars, sessions):
    """Every node's value on the last bar, after all bars before it.

    Args:
        graph: of a strategy that has not run yet: its states advance here.
        bars: BAR_DTYPE, ascending; those outside the sessions are skipped, as in a run.
        sessions: SESSION_DTYPE.
    Returns:
        {label: value}; nodes that depend on the position are NaN.
    Raises:
        ValueError: another dtype, or no bar lies inside a session.
    """
    if bars.dtype != BAR_DTYPE:
        raise ValueError("bars must be a BAR_DTYPE array")
    starts = bars["start_ns"]
    at = np.searchsorted(sessions["open_ns"], starts, side="right") - 1
    row = sessions[np.maximum(at, 0)]
    inside = (at >= 0) & (
        ((starts >= row["open_ns"]) & (starts < row["close_ns"]))
        | ((starts >= row["open2_ns"]) & (starts < row["close2_ns"])))
    chosen = np.flatnonzero(inside)
    if len(chosen) == 0 or chosen[-1] != len(bars) - 1:
        raise ValueError("the bar lies outside the sessions of its day")
    days = at[chosen]
    first = np.concatenate(([1], (np.diff(days) > 0))).astype(np.uint8)
    kept = np.ascontiguousarray(bars[chosen])
    cdef Program program = graph.compile()
    cdef const unsigned char[::1] raw = kept.view(np.uint8)
    cdef const uint8_t[::1] flags = first
    cdef uint32_t index[ROWS]
    cdef size_t i, done = 0, count = 0, n = len(kept)
    for i in range(ROWS):
        index[i] = <uint32_t>i
    while done < n:
        count = min(<size_t>ROWS, n - done)
        program.run((<const Bar *>&raw[0]) + done, &index[0], &flags[done], count)
        done += count
    return graph.explain(count - 1)

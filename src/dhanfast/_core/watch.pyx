"""Watch: writes down every decision of a strategy, and what it knew on chosen bars."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.timing cimport mono_ns
from dhanfast._core.types cimport Bar, Report, Tick, ns_t

import numpy as np

DECISION_DTYPE = np.dtype([
    ("start_ns", "<i8"), ("position", "<i8"), ("stop", "<f8"), ("target", "<f8"),
    ("took_ns", "<i8"), ("action", "<i4"), ("session_start", "<i4"),
])
assert DECISION_DTYPE.itemsize == sizeof(Decision)


@cython.final
cdef class Watch(NativeStrategy):
    """Runs in a strategy's place and writes down what it says on every bar.

    Args:
        inner: the strategy, as the kernel runs it.
        room: bars that may come; more stop the run.
        graph: of its series, None when it has none; their values are kept on the probed bars.
        probes: int64[n], ascending starts (UTC ns) of the bars on which states are kept.
        state_of: called on a probed bar after the strategy; gives {name: value} of what else it
            knows. None: nothing else.
        flat: its wishes go no further, so that it never holds anything.
    Attributes:
        count: decisions written. states: what else it knew, by start of a probed bar.
    Units:
        times UTC ns; stop and target rupees from the fill.
    Shape:
        `decisions`: DECISION_DTYPE[bars so far].
    Raises:
        ValueError: no room, or probes that do not ascend.
    """

    def __cinit__(self, NativeStrategy inner not None, room, *, graph=None, probes=None,
                  state_of=None, bint flat=False):
        if room < 1:
            raise ValueError(f"room must be at least 1 bar, was {room}")
        probed = np.ascontiguousarray([] if probes is None else probes, np.int64)
        if len(probed) > 1 and (np.diff(probed) <= 0).any():
            raise ValueError("probes must be starts of bars in ascending order, each once")
        self.inner, self.graph, self.flat, self._state_of = inner, graph, flat, state_of
        self.room, self._kept = room, np.zeros(room, DECISION_DTYPE)
        self._probed, self.probe_count, self.states = probed, len(probed), {}
        cdef const unsigned char[::1] raw = self._kept.view(np.uint8)
        cdef const unsigned char[::1] places
        self.rows = <Decision *><void *>&raw[0]
        if self.probe_count:
            places = probed.view(np.uint8)
            self.probes = <const int64_t *><const void *>&places[0]
        self.wants_ticks, self.python = inner.wants_ticks, inner.python
        self.wants_chain = inner.wants_chain

    @property
    def decisions(self):
        """DECISION_DTYPE, one a bar so far."""
        return self._kept[:self.count]

    @property
    def conflicts(self):
        """Bars on which the rules said both long and short."""
        return getattr(self.inner, "conflicts", 0)

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        self.row = 0
        self.inner.prepare(bars, index, first, n)

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        cdef Decision *row
        cdef ns_t began_ns
        if self.count == self.room:
            with gil:
                self.error = ValueError(f"more than {self.room} bars came: give more room")
                self.failed = Status.PYTHON_ERROR
            return
        row = &self.rows[self.count]
        began_ns = mono_ns()
        self.inner.on_bar(bar, view, signal)
        row.took_ns = mono_ns() - began_ns + self.wished_ns
        row.start_ns, row.position = bar.start_ns, view.position
        row.session_start = view.session_start
        row.action, row.stop, row.target = signal.action, signal.stop, signal.target
        if signal.action == Action.HOLD and self.wished.action != Action.HOLD:
            row.action, row.stop = self.wished.action, self.wished.stop
            row.target = self.wished.target
        self.wished.action, self.wished_ns = Action.HOLD, 0
        self.count += 1
        while self.probe_at < self.probe_count and self.probes[self.probe_at] < bar.start_ns:
            self.probe_at += 1                       # of a bar that never came
        if self.probe_at < self.probe_count and self.probes[self.probe_at] == bar.start_ns:
            with gil:
                self.note(bar.start_ns)
            self.probe_at += 1
        self.row += 1
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error
        if self.flat:
            signal.action, signal.stop, signal.target = Action.HOLD, 0.0, 0.0

    cdef void note(self, ns_t start_ns) noexcept:
        try:
            state = {} if self.graph is None else self.graph.explain(<Py_ssize_t>self.row)
            if self._state_of is not None:
                state |= self._state_of()
            self.states[start_ns] = state
        except BaseException as error:               # also Ctrl-C: nothing may pass unseen
            self.failed, self.error = Status.PYTHON_ERROR, error

    cdef void on_tick(self, const Tick *tick, const View *view, Signal *signal) noexcept nogil:
        self.inner.on_tick(tick, view, signal)
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        self.inner.on_fill(report, view)
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error

    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil:
        cdef ns_t began_ns = mono_ns()
        self.inner.on_chain(chain, view, signal)
        self.wished_ns += mono_ns() - began_ns
        if signal.action != Action.HOLD:
            self.wished = signal[0]
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error
        if self.flat:
            signal.action, signal.stop, signal.target = Action.HOLD, 0.0, 0.0

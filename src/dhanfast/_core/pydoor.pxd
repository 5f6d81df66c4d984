"""The Python door: a Python object's callbacks as a strategy of the kernel."""

from libc.stdint cimport uint64_t

from dhanfast._core.callwatch cimport CallWatch
from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.rules.program cimport Program
from dhanfast._core.strategy cimport NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar, Tick


cdef class BarView:
    cdef const Bar *bar              # NULL outside on_bar
    cdef const Bar *_now(self) except NULL


cdef class TickView:
    cdef const Tick *tick            # NULL outside on_tick
    cdef const Tick *_now(self) except NULL


cdef class ChainView:
    cdef const ChainRow *chain       # NULL outside on_chain
    cdef dict asked                  # figures that the strategy reads: name -> ChainFigure
    cdef const ChainRow *_now(self) except NULL


cdef class Context:
    cdef readonly Graph graph
    cdef const View *view            # NULL outside callbacks
    cdef Signal *signal              # NULL outside on_bar, on_tick and on_chain
    cdef object _log

    cdef int _wish(self, int action, double stop, double target) except -1


cdef class PythonRunner(NativeStrategy):
    cdef readonly object target      # the user's strategy
    cdef readonly Context context
    cdef Program program
    cdef object _on_bar
    cdef object _on_tick
    cdef object _on_fill
    cdef object _on_chain
    cdef BarView _bar
    cdef TickView _tick
    cdef ChainView _chain
    cdef size_t row
    cdef public CallWatch watch      # of its calls; None: they may take as long as they like
    cdef public bint quiet           # series go on, and nothing of the strategy is called
    cdef readonly uint64_t calls     # made so far; the last one when it has failed
    cdef uint64_t fail_at            # the call that a journal says has failed; 0 = none
    cdef str fail_text

    cdef bint _begin(self) noexcept
    cdef void _end(self) noexcept
    cdef void fail(self, object error)

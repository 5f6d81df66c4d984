"""CallWatch: see callwatch.pxd."""

cimport cython
from libc.string cimport strncpy

import os
import signal
import threading

from dhanfast.errors import CallbackOverdue, UsageError


@cython.final
cdef class CallWatch:
    """Ends calls into a strategy's Python that take too long. Start and close it as a context.

    Args:
        limit_ns: how long a call may take, 1 ms to 60 s.
        who: the engine, as it is named on standard error, up to 80 characters.
        fd: where it is told of what cannot be ended; -1 = nowhere.
    Attributes:
        idle: True: calls are not watched. limit_text: the limit, for people.
    Raises:
        UsageError: the limit is out of range.
    """

    def __cinit__(self, int64_t limit_ns, str who not None, int fd=2):
        cdef bytes name = who[:80].encode()[:95]
        if not 1_000_000 <= limit_ns <= 60_000_000_000:
            raise UsageError("the limit of a callback must be in 1ms..60s, was "
                             f"{limit_ns / 1e9:g} s; 0s is for none")
        self._state.limit_ns, self._state.fd = limit_ns, fd
        strncpy(self._state.who, name, 95)
        ms = limit_ns / 1e6
        self.limit_text = f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"

    def __dealloc__(self):
        df_callwatch_stop(&self._state)

    def __enter__(self):
        """Watch the calls that this thread makes from now on.

        Raises:
            UsageError: this is not the main thread, or it is started. OSError: no thread is left.
        """
        if threading.current_thread() is not threading.main_thread():
            raise UsageError("calls are watched in the main thread only: serve the engine there")
        if self._state.serving:
            raise UsageError("the watch is started already")
        self._before = signal.signal(signal.SIGURG, self._interrupt)
        error = df_callwatch_start(&self._state)
        if error:
            signal.signal(signal.SIGURG, self._before)
            raise OSError(error, os.strerror(error))
        return self

    def __exit__(self, kind, error, trace):
        """Watch no more."""
        df_callwatch_stop(&self._state)
        if self._before is not None:
            signal.signal(signal.SIGURG, self._before)
            self._before = None

    def _interrupt(self, signum, frame):
        # A signal that comes when its call has ended ends no other one.
        cdef int64_t begun_ns = df_callwatch_begun(&self._state)
        cdef bint over = df_callwatch_now() - begun_ns > self._state.limit_ns
        if begun_ns and not self._state.only_told and over:
            raise CallbackOverdue(f"it ran longer than {self.limit_text}")

    def call(self, function, *, bint native=False):
        """What `function()` returns, as a call that is watched; for what is no bar, tick or fill.

        Args:
            native: nothing is raised in it: it is told of, when it does not return.
        Raises:
            CallbackOverdue: it took too long. Whatever the function raises.
        """
        if native:
            self.enter_native()
        else:
            self.enter()
        try:
            return function()
        finally:
            self.leave()

    @property
    def signals(self):
        """How often a call was told to end."""
        return self._state.signals

    @property
    def stuck(self):
        """Calls that did not end when they were told to."""
        return self._state.stuck

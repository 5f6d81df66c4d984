"""How long a call into a strategy's Python may take: a thread watches, a signal ends it.

Owner thread:  `enter`, `leave` the engine's only, which is the main one while it is started.
Memory:        none after construction.

The thread needs no GIL. A call over its limit gets SIGURG, again after each further limit; the
handler raises `CallbackOverdue` inside the call, in bytecode or in a system call that waits. C code
that never looks cannot be ended so: a second behind the limit it is told of on standard error.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.timing cimport mono_ns


cdef extern from "df_callwatch.h" nogil:
    ctypedef struct df_callwatch:
        int64_t begun_ns
        int64_t limit_ns
        int32_t only_told
        uint64_t signals
        uint64_t stuck
        int32_t fd
        int32_t serving
        char who[96]

    void df_callwatch_begin(df_callwatch *watch, int64_t now_ns, int32_t only_told)
    int64_t df_callwatch_begun(df_callwatch *watch)
    int64_t df_callwatch_now()
    int df_callwatch_start(df_callwatch *watch)
    void df_callwatch_stop(df_callwatch *watch)


cdef class CallWatch:
    cdef df_callwatch _state
    cdef public bint idle            # calls are not watched: a journal is being repeated
    cdef object _before              # the handler of SIGURG that was there
    cdef readonly object limit_text

    cdef inline void enter(self) noexcept nogil:
        if not self.idle:
            df_callwatch_begin(&self._state, mono_ns(), 0)

    # Of native code, in which nothing can be raised: it is told of, when it does not return.
    cdef inline void enter_native(self) noexcept nogil:
        df_callwatch_begin(&self._state, mono_ns(), 1)

    cdef inline void leave(self) noexcept nogil:
        df_callwatch_begin(&self._state, 0, 0)

"""NativeStrategy: the base whose methods do nothing; a subclass writes only what it needs."""


cdef class NativeStrategy:
    """Base of every strategy the kernel can run.

    Subclass it in Cython and override `prepare`, `on_bar`, `on_tick`, `on_chain` or `on_fill` (see
    the .pxd for their contracts). From Python, derive from `dhanfast.strategies.Strategy` or
    `RuleStrategy`.

    Attributes:
        wants_ticks: False: `on_tick` is never called and costs nothing.
        wants_chain: False: `on_chain` is never called and costs nothing.
        python: True: its methods need the GIL; the kernel keeps it.
        failed: a `Status`; anything but OK stops the run after this event.
        error: the exception behind `failed`, None when there is none.

    Source:
        DESIGN, the three doors of a strategy.
    """

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        pass

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        pass

    cdef void on_tick(self, const Tick *tick, const View *view, Signal *signal) noexcept nogil:
        pass

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        pass

    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil:
        pass

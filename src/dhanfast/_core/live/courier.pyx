"""Courier: see courier.pxd."""

import numpy as np

from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE


cdef class Courier:
    """Carries requests to a broker; extend it natively by `carry` or in Python by `carry_intent`.

    Attributes:
        on_answer: called with each Answer, an ANSWER_DTYPE record, on the engine thread.
    """

    cdef void carry(self, const Intent *intent) noexcept:
        cdef bytes raw = (<const char *>intent)[:sizeof(Intent)]
        self.carry_intent(np.frombuffer(raw, INTENT_DTYPE)[0])

    cdef void answer(self, const Answer *answer) noexcept:
        cdef bytes raw
        if self.on_answer is not None:
            # A third of the cost of an array of zeros that is filled.
            raw = (<const char *>answer)[:sizeof(Answer)]
            self.on_answer(np.frombuffer(raw, ANSWER_DTYPE)[0])

    def carry_intent(self, intent):
        """Carry one request.

        Args:
            intent: an INTENT_DTYPE record, the courier's to keep.
        Raises:
            TypeError: the class does not say how.
        """
        raise TypeError(f"{type(self).__name__} must define carry or carry_intent")

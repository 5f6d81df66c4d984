"""Courier: see courier.pxd."""

import numpy as np

from libc.string cimport memcpy

from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE


cdef class Courier:
    """Carries requests to a broker; extend it natively by `carry` or in Python by `carry_intent`.

    Attributes:
        on_answer: called with each Answer, an ANSWER_DTYPE record, on the engine thread.
    """

    cdef void carry(self, const Intent *intent) noexcept:
        record = np.zeros(1, INTENT_DTYPE)
        cdef unsigned char[::1] raw = record.view(np.uint8)
        memcpy(&raw[0], intent, sizeof(Intent))
        self.carry_intent(record[0])

    cdef void answer(self, const Answer *answer) noexcept:
        record = np.zeros(1, ANSWER_DTYPE)
        cdef unsigned char[::1] raw = record.view(np.uint8)
        memcpy(&raw[0], answer, sizeof(Answer))
        if self.on_answer is not None:
            self.on_answer(record[0])

    def carry_intent(self, intent):
        """Carry one request.

        Args:
            intent: an INTENT_DTYPE record, the courier's to keep.
        Raises:
            NotImplementedError: the class does not say how.
        """
        raise NotImplementedError(f"{type(self).__name__} must define carry or carry_intent")

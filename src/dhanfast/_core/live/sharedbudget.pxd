"""The door to the budget that all engines of one broker account share: see budgetlink.pxd."""

from dhanfast._core.live.budgetlink cimport BudgetLink


cdef class SharedBudget:
    cdef BudgetLink link
    cdef readonly str path
    cdef int _fd

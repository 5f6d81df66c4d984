"""Commands of an operator about guards, as every live run takes them: LOCK and UNLOCK."""

from libc.stdint cimport int64_t

from dhanfast._core.guardlocks cimport KINDS
from dhanfast._core.guards cimport Guards
from dhanfast._core.live.inputs cimport Command
from dhanfast._core.types cimport ns_t


# `kind`: a GuardKind; of UNLOCK -1 ends all. Of other kinds, and without guards, nothing happens.
cdef inline void guard_command(Guards guards, int64_t command, int64_t kind, ns_t until_ns,
                               ns_t now_ns) noexcept:
    cdef int each
    if guards is None or kind >= KINDS:
        return
    if command == Command.LOCK and kind >= 0:
        guards.lock_entries(<int>kind, now_ns, until_ns)
    elif command == Command.UNLOCK:
        for each in range(KINDS):
            if kind < 0 or each == kind:
                guards.unlock_entries(each, now_ns)

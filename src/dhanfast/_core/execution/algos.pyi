from typing import Final

from typing_extensions import disjoint_base

from dhanfast._core.execution.jobs import Jobs

@disjoint_base
class Algos(Jobs):
    paused: Final[bool]
    parents: Final[int]
    reprices: Final[int]
    hurried: Final[int]

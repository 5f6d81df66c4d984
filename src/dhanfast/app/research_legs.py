"""A search over the parameters of a legs file, as `optimize` and `walk-forward` ask for it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhanfast.app.legs_file import plan_of, read_plan
from dhanfast.app.legs_run import legs_values, refuse_with_legs, source_of
from dhanfast.app.run_options import run_settings
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.errors import UsageError
from dhanfast.strategies.structures import Structure, read_structure

if TYPE_CHECKING:
    from dhanfast.engine.research.prepare import Prepared
    from dhanfast.reports.result import RunResult


@dataclass(frozen=True)
class LegsFile:
    """A legs file as it was when the search began; a process gets it as it is."""

    structure: Structure
    name: str

    def __call__(self, values: Mapping[str, object]) -> StructurePlan:
        """The structure with values in the places of its parameters, checked.

        Raises:
            ConfigError: values that do not make a structure. UsageError: one out of its range.
        """
        return plan_of(self.structure.filled(values), self.name)


def prepared_legs_of(given: Mapping[str, Any], place: str | None) -> "tuple[Prepared, int]":
    """What the options say is searched, and its seed.

    Args:
        place: the file, when a strategy's name stands for it; None: that of --legs.

    Raises:
        UsageError, ConfigError, BadData: something is not understood or does not fit.
    """
    from dhanfast.engine.research.legs_job import prepared_legs

    path, settings = _file(given, place), run_settings(given)
    values = legs_values(given["sets"])
    made = prepared_legs(
        LegsFile(read_structure(path), path.stem),
        read_structure(path).params,
        source_of(given, read_plan(path, values)),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        params=values,
        settings=settings,
        objective=given["objective"],
    )
    return made, settings.seed


def backtest_legs_of(
    given: Mapping[str, Any], place: str | None, params: Mapping[str, object]
) -> "RunResult":
    """One run of the file with the values that a search has found.

    Raises:
        as `backtest --legs`.
    """
    from dhanfast.engine.legs import backtest_legs

    plan = read_plan(_file(given, place), params)
    return backtest_legs(plan, source_of(given, plan), run_settings(given))


def _file(given: Mapping[str, Any], place: str | None) -> Path:
    if given["legs"] is not None and place is not None:
        raise UsageError(f"--legs: -s {given['strategy']} is a legs file itself; give one")
    for name in ("generate", "source"):
        if (given[name] is None) == (name == "source"):
            raise UsageError(f"--{'data' if name == 'source' else name}: --legs takes its prices "
                             "from --data alone")  # fmt: skip
    refuse_with_legs(named=place is not None)
    return Path(place or given["legs"])

"""dhanfast: one engine for Indian index options, four runs (backtest, replay, paper, live).

Importing this package is cheap: numpy, pyarrow and the engine load on first use of a name below.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name -> module that defines it
_PUBLIC = {
    "Context": "dhanfast.strategies",
    "Market": "dhanfast.strategies",
    "RuleStrategy": "dhanfast.strategies",
    "Rules": "dhanfast.strategies",
    "RunResult": "dhanfast.reports.result",
    "Settings": "dhanfast.engine.settings",
    "Strategy": "dhanfast.strategies",
    "backtest": "dhanfast.engine.runs",
    "param": "dhanfast.strategies",
}

__all__ = [
    "Context",
    "Market",
    "RuleStrategy",
    "Rules",
    "RunResult",
    "Settings",
    "Strategy",
    "__version__",
    "backtest",
    "get_include",
    "param",
]

if TYPE_CHECKING:
    from dhanfast.engine.runs import backtest as backtest
    from dhanfast.engine.settings import Settings as Settings
    from dhanfast.reports.result import RunResult as RunResult
    from dhanfast.strategies import Context as Context
    from dhanfast.strategies import Market as Market
    from dhanfast.strategies import Rules as Rules
    from dhanfast.strategies import RuleStrategy as RuleStrategy
    from dhanfast.strategies import Strategy as Strategy
    from dhanfast.strategies import param as param


def get_include() -> str:
    """Folder of the C headers that the shipped `.pxd` files name.

    A Cython module that cimports dhanfast passes it to its C compiler, as with numpy's. The `.pxd`
    files themselves need no path: Cython finds them through the installed package.
    """
    from pathlib import Path

    return str(Path(__file__).parent / "_core" / "native")


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dhanfast' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)

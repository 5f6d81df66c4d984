"""dhanfast: one engine for Indian index options, four runs (backtest, replay, paper, live).

Importing this package is cheap: numpy, pyarrow and the engine load on first use.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["__version__"]

if TYPE_CHECKING:
    pass

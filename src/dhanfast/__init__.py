"""dhanfast: one engine for Indian index options, four runs (backtest, replay, paper, live).

Importing this package is cheap: numpy, pyarrow and the engine load on first use.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "get_include"]


def get_include() -> str:
    """Folder of the C headers that the shipped `.pxd` files name.

    A Cython module that cimports dhanfast passes it to its C compiler, as with numpy's. The `.pxd`
    files themselves need no path: Cython finds them through the installed package.
    """
    from pathlib import Path

    return str(Path(__file__).parent / "_core" / "native")

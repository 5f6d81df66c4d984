"""Install the peers, each refusal named: prints {distribution: reason} of those that are not there.

environment.py PYTHON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
from environments import fill

PEERS = ("pyarrow", "zstandard", "pcodec", "blosc2", "databento")


def main() -> None:
    """Fill the environment of an interpreter."""
    print(json.dumps(fill(Path(sys.argv[1]), {name: name for name in PEERS})))


if __name__ == "__main__":
    main()

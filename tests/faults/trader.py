"""`dhanfast trade --live` without the countdown: a process that a test may kill.

python -m tests.faults.trader HOME SECTION.KEY=VALUE ...
"""

import os
import sys

from dhanfast.app.cli_trade import run_trade
from dhanfast.app.config import load_config

if __name__ == "__main__":
    home, *sets = sys.argv[1:]
    sys.exit(run_trade(load_config([], home, sets, os.environ), "live", as_json=True))

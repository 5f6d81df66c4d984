#!/usr/bin/env python3
"""Version 1's way to start: says which command it is now, and runs that.

python main.py                       dhanfast trade --paper
python main.py --live                dhanfast trade --live
python main.py --test-connection     dhanfast doctor
"""

import argparse
import shlex
import sys


def translated(arguments: list[str]) -> list[str]:
    """Version 1's flags as words of `dhanfast`; what it does not know is passed on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--live", action="store_true", help="trade with real money")
    parser.add_argument("--test-connection", action="store_true", help="check the connection")
    given, more = parser.parse_known_args(arguments)
    if given.test_connection:
        return ["doctor", *(["--live"] if given.live else []), *more]
    return ["trade", "--live" if given.live else "--paper", *more]


if __name__ == "__main__":
    words = translated(sys.argv[1:])
    print(f"this is now: dhanfast {shlex.join(words)}", file=sys.stderr)
    from dhanfast.app.cli import main

    main(words)

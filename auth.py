#!/usr/bin/env python3
"""Version 1's way to log in: says which command it is now, and runs that.

python auth.py               dhanfast auth login --method consent
python auth.py --totp        dhanfast auth login --method totp
python auth.py --renew       dhanfast auth renew
python auth.py --status      dhanfast auth status
python auth.py --logout      dhanfast auth logout
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
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--totp", "-t", action="store_true", help="log in with PIN and TOTP")
    ways.add_argument("--renew", "-r", action="store_true", help="renew the token")
    ways.add_argument("--status", "-s", action="store_true", help="who is logged in")
    ways.add_argument("--logout", "-l", action="store_true", help="forget the token")
    given, more = parser.parse_known_args(arguments)
    if given.totp:
        return ["auth", "login", "--method", "totp", *more]
    for verb in ("renew", "status", "logout"):
        if getattr(given, verb):
            return ["auth", verb, *more]
    return ["auth", "login", "--method", "consent", *more]


if __name__ == "__main__":
    words = translated(sys.argv[1:])
    print(f"this is now: dhanfast {shlex.join(words)}", file=sys.stderr)
    from dhanfast.app.cli import main

    main(words)

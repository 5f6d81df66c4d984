"""`python -m dhanfast`: the same as the `dhanfast` command."""

from dhanfast.app.cli import main

main()

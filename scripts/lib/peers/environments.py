"""Install the peers, each refusal named: prints {peer: reason} of those that are not there.

    environments.py ENVIRONMENT APART

ENVIRONMENT exists and holds dhanfast; APART is made for peers that cannot live beside the others.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from rows import APART, PEERS

UV = shutil.which("uv")


def installed(python: Path, name: str) -> bool:
    """Is this distribution there?"""
    code = f"import importlib.metadata as m; m.version({name!r})"
    tried = subprocess.run([str(python), "-c", code], capture_output=True, check=False)
    return tried.returncode == 0


def install(python: Path, names: list[str]) -> str:
    """Install; the last line of the complaint, "" when it worked."""
    command = (
        [UV, "pip", "install", "--python", str(python)]
        if UV
        else [str(python), "-m", "pip", "install", "--no-input"]
    )
    made = subprocess.run([*command, *names], capture_output=True, text=True, check=False)
    said = (made.stderr.strip() or made.stdout.strip()).splitlines() or ["no reason given"]
    return "" if made.returncode == 0 else said[-1].strip()


def fill(python: Path, peers: dict[str, str]) -> dict[str, str]:
    """Install what is missing: all at once, and when that fails one by one."""
    missing = {peer: name for peer, name in peers.items() if not installed(python, name)}
    if not missing:
        return {}
    print(f"== installing {', '.join(missing.values())}", file=sys.stderr, flush=True)
    # Named together with those that are there, so that one resolution suits all of them.
    if not install(python, [*peers.values(), *EXTRA.get(next(iter(peers)), [])]):
        return {}
    problems = {peer: install(python, [name]) for peer, name in missing.items()}
    return {peer: problem for peer, problem in problems.items() if problem}


# vectorbt 1.2 wants pandas 3; without saying so a resolver may settle for an old vectorbt.
EXTRA = {"vectorbt": ["pandas>=3"]}


def main() -> None:
    """Fill both environments."""
    shared, apart = (Path(argument) for argument in sys.argv[1:3])
    if not (apart / "bin" / "python").exists():
        command = [UV, "venv", "--python", sys.executable] if UV else [sys.executable, "-m", "venv"]
        subprocess.run([*command, str(apart)], check=True, capture_output=True)
    problems = fill(shared / "bin" / "python", PEERS) | fill(apart / "bin" / "python", APART)
    print(json.dumps(problems))


if __name__ == "__main__":
    main()

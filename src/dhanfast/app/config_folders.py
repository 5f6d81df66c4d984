"""Where a user's files are: one folder, and what stands in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o700
OPEN: Final = 0o755
# What `dhanfast init` makes and `dhanfast doctor` looks after: name -> mode.
MODES: Final = {
    "secrets": PRIVATE,
    "journal": PRIVATE,
    "run": PRIVATE,
    "strategies": OPEN,
    "instruments": OPEN,
    "catalog": OPEN,
}


@dataclass(frozen=True, slots=True)
class Folders:
    """The user's folder.

    Attributes:
        root: everything of one user is below it.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The configuration file that is read when no other is named."""
        return self.root / "config.toml"

    @property
    def dotenv(self) -> Path:
        """Variables for this folder alone."""
        return self.root / ".env"

    @property
    def secrets(self) -> Path:
        """Encrypted tokens; nobody else may look."""
        return self.root / "secrets"

    @property
    def journal(self) -> Path:
        """Journals, one a day and run: <date>-<run>.dfj."""
        return self.root / "journal"

    @property
    def run(self) -> Path:
        """Control sockets of running engines: <run>.sock."""
        return self.root / "run"

    @property
    def instruments(self) -> Path:
        """The broker's instrument lists, a copy a day."""
        return self.root / "instruments"

    @property
    def slippage(self) -> Path:
        """What orders of paper and live days cost."""
        return self.root / "slippage.sqlite"

    @property
    def volatility(self) -> Path:
        """A volatility a session, for ranks and percentiles."""
        return self.root / "volatility.sqlite"

    @property
    def strategies(self) -> Path:
        """The user's own strategies."""
        return self.root / "strategies"

    def make(self) -> list[Path]:
        """Make what is missing, each with its mode.

        Returns:
            The folders made.
        Raises:
            OSError: the system refuses.
        """
        made = []
        self.root.mkdir(mode=OPEN, parents=True, exist_ok=True)
        for name, mode in MODES.items():
            folder = self.root / name
            if not folder.exists():
                folder.mkdir(mode=mode)
                folder.chmod(mode)  # whatever the umask took
                made.append(folder)
        return made


def user_folders(user_dir: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Folders:
    """The user's folder.

    Args:
        user_dir: where the user says; None for the usual place.
        environ: DHANFAST_HOME, else XDG_DATA_HOME/dhanfast, else ~/.local/share/dhanfast.
    """
    if user_dir is not None:
        return Folders(Path(user_dir).expanduser().absolute())
    home = environ.get("DHANFAST_HOME")
    if home:
        return Folders(Path(home).expanduser().absolute())
    data = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Folders((Path(data) / "dhanfast").expanduser().absolute())

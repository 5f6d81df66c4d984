"""A user's Python file as it was when a search began, so that every worker runs the same code."""

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dhanfast.errors import StrategyError, UsageError


@dataclass(frozen=True, slots=True)
class Code:
    """One file of Python.

    Attributes:
        path: where it was read. source: its bytes. sha256: of them.
    """

    path: str
    source: bytes
    sha256: str

    def module(self) -> ModuleType:
        """The file as a module, imported once a process.

        Raises:
            StrategyError: it cannot be imported.
        """
        name = f"dhanfast_research_{self.sha256[:16]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_loader(name, loader=None, origin=self.path)
        if spec is None:
            raise StrategyError(f"{self.path} cannot be imported as Python")
        module = importlib.util.module_from_spec(spec)
        module.__file__ = self.path
        sys.modules[name] = module
        try:
            exec(compile(self.source, self.path, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            sys.modules.pop(name, None)
            raise StrategyError(
                f"{self.path} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        return module


def code_of(path: str) -> Code:
    """Read a file of Python.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return Code(str(Path(path).absolute()), source, hashlib.sha256(source).hexdigest())

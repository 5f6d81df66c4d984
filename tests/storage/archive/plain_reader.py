"""scripts/archive-read as a module: the oracle that reads what the product writes."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[3] / "scripts" / "archive-read"


def _load() -> Any:
    loader = SourceFileLoader("archive_read", str(SCRIPT))
    spec = importlib.util.spec_from_loader("archive_read", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


archive_read = _load()

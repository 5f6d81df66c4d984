"""Where the author of a strategy finds what raised."""

from pathlib import Path
from types import ModuleType

import pytest

from dhanfast.errors import UsageError, raised_at
from dhanfast.storage.stamps import ist_text


def caught(code: str, path: Path) -> BaseException:
    module = ModuleType("mine")
    with pytest.raises(Exception) as raised:
        exec(compile(code, str(path), "exec"), module.__dict__)
    error: BaseException = raised.value
    return error


def test_the_line_of_the_file_that_raised(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    assert raised_at(caught("\n\nraise ValueError('boom')\n", mine)) == " (mine.py:3)"


def test_the_innermost_line_of_ones_own_and_not_that_of_installed_code(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    code = "import numpy as np\ndef f():\n    return np.concatenate([])\n\nf()\n"
    assert raised_at(caught(code, mine)) == " (mine.py:3)"
    code = "from dhanfast.storage.stamps import ist_text\nist_text('x')\n"
    assert ist_text(0) and raised_at(caught(code, mine)) == " (mine.py:2)"


def test_code_without_a_file_of_its_own_has_no_line(tmp_path: Path) -> None:
    assert raised_at(UsageError("never raised")) == ""
    with pytest.raises(UsageError) as raised:
        exec("from dhanfast.errors import UsageError\nraise UsageError('x')")
    assert raised_at(raised.value).startswith(" (test_errors.py:")

"""Random kills of a writer in mid-stream. DHANFAST_KILLS=1000 for the full course (minutes)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLER = Path(__file__).with_name("killer.py")


def test_no_acknowledged_row_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kills = int(os.environ.get("DHANFAST_KILLS", "30"))
    seed = int(os.environ.get("DHANFAST_KILLS_SEED", "1"))
    answer = subprocess.run([sys.executable, str(KILLER), str(tmp_path), str(kills), str(seed)],
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    figures = json.loads(answer.stdout)
    with capsys.disabled():
        print(f"\n  {figures}")
    assert figures["acknowledged rows lost"] == 0
    assert figures["rows kept"] >= figures["rows acknowledged"] > 0

"""An apply killed with -9 at its steps is completed by the next one, and never half and silent.

`killed_apply.py` has the lives. In CI every fourth step is tried; for a release each of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_apply.py")
ROOT = PROGRAM.parents[2]
STRIDE = 1 if os.environ.get("VISIONFLOW_RELEASE") == "1" else 4


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize(("way", "steps_min"), [("branch", 40), ("files", 60), ("back", 60)])
def test_whenever_an_apply_is_killed_the_next_one_completes_it_or_takes_it_back(
    tmp_path: Path, way: str, steps_min: int
) -> None:
    words = [sys.executable, str(PROGRAM), str(tmp_path), way, "1", str(STRIDE)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, env=env, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["steps"] >= steps_min
    assert told["lives"] >= steps_min // STRIDE

"""The sample of docs/consensus.md votes as the page says."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from visionflow import Task
from visionflow.agents.voting import ballot_of
from visionflow.domain.votes import CAST_BALLOT, Choice

PAGE = (Path(__file__).parents[2] / "docs" / "consensus.md").read_text(encoding="utf-8")
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WAIT_S = 120.0


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize(("claimed", "choice"), [(5, Choice.APPROVE), (6, Choice.REJECT)])
def test_the_sample_approves_what_it_can_do_again_and_rejects_the_rest(
    claimed: int, choice: Choice
) -> None:
    names: dict[str, Any] = {"__name__": "sample"}
    exec(compile(SAMPLES[0], "consensus.md", "exec"), names)
    adder = names["Adder"]("a1", "a1", "adder", {}, None)
    given = {"vote": "v", "matter": "task_result", "question": "?", "of": {"inputs": {"t": [2, 3]}}}
    task = Task(id="v.1", type=CAST_BALLOT, input=given, dependencies={"t": claimed})
    opinion = asyncio.run(ballot_of(adder, task))
    assert (opinion.choice, opinion.evidence) == (choice, "reproduction")


@pytest.mark.acceptance("consensus")
def test_the_program_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    (printed,) = re.findall(r"It prints (\S+), `(.*?)` and `(.*?)`", PAGE)
    script = tmp_path / "adders.py"
    script.write_text("\n\n".join(SAMPLES), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, timeout=WAIT_S, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == list(printed)

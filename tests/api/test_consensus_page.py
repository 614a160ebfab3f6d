"""The sample of docs/consensus.md votes as the page says."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from visionflow import Task
from visionflow.agents.voting import ballot_of
from visionflow.domain.votes import CAST_BALLOT, Choice

PAGE = (Path(__file__).parents[2] / "docs" / "consensus.md").read_text(encoding="utf-8")


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize(("claimed", "choice"), [(5, Choice.APPROVE), (6, Choice.REJECT)])
def test_the_sample_approves_what_it_can_do_again_and_rejects_the_rest(
    claimed: int, choice: Choice
) -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "sample"}
    exec(compile(sample, "consensus.md", "exec"), names)
    adder = names["Adder"]("a1", "a1", "adder", {}, None)
    given = {"vote": "v", "matter": "task_result", "question": "?", "of": {"inputs": {"t": [2, 3]}}}
    task = Task(id="v.1", type=CAST_BALLOT, input=given, dependencies={"t": claimed})
    opinion = asyncio.run(ballot_of(adder, task))
    assert (opinion.choice, opinion.evidence) == (choice, "reproduction")

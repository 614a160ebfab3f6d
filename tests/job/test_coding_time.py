"""When a run of coding agents has to be over, as its agents read it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from codings import Shop

from tests.coding.sample import make_sample
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.plans import Plan, PlanPhase, PlanTask
from visionflow.agents.roles.job import CodingBounds
from visionflow.compose.job import RunFolder, coding, create_run
from visionflow.compose.job.coding import TimeLimit
from visionflow.compose.job.plan import CODING_SLACK_MS, submission
from visionflow.compose.job.story import Story
from visionflow.domain.events import AnyEvent, Record, Recovered, TimeSkipped
from visionflow.runtime.intake import unpack

LIMIT_MS = 3_600_000
BEGAN_MS = 1_800_000_000_000


class Machine:
    """Its two clocks: one that a sleep moves, and one that it does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms, self.awake_ms = BEGAN_MS, 0
        clocks = SimpleNamespace(
            time=lambda: self.wall_ms / 1000, monotonic=lambda: self.awake_ms / 1000
        )
        monkeypatch.setattr(coding, "time", clocks)

    def works(self, ms: int) -> None:
        self.wall_ms += ms
        self.awake_ms += ms

    def sleeps(self, ms: int) -> None:
        self.wall_ms += ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return Shop(tmp_path).order("good", run_wall_ms=LIMIT_MS)


def told(folder: RunFolder) -> int:
    return int((folder.coding / "ends_at_ms").read_text())


def recorded(story: Story, at_ms: int, *events: AnyEvent) -> Story:
    """The story with a record of this time."""
    story.take(story.seq + 1, Record(at_ms, list(events)))
    return story


@pytest.mark.acceptance("coding-agents")
def test_work_brings_the_end_nearer_and_a_sleep_of_the_machine_does_not(
    folder: RunFolder, machine: Machine
) -> None:
    limit, story = TimeLimit(folder, folder.read_order()), recorded(Story(None), BEGAN_MS)
    limit.look(story)
    assert told(folder) == BEGAN_MS + LIMIT_MS
    machine.works(600_000)
    limit.look(recorded(story, machine.wall_ms))
    assert told(folder) == BEGAN_MS + LIMIT_MS
    machine.sleeps(8 * LIMIT_MS)
    limit.look(story)
    assert told(folder) == BEGAN_MS + 9 * LIMIT_MS
    limit.look(recorded(story, machine.wall_ms))  # Something that happens then changes nothing.
    assert told(folder) == BEGAN_MS + 9 * LIMIT_MS


@pytest.mark.acceptance("coding-agents")
def test_time_in_which_nobody_worked_on_the_run_does_not_count(
    folder: RunFolder, machine: Machine
) -> None:
    story = recorded(Story(None), BEGAN_MS)
    machine.works(600_000)
    recorded(story, machine.wall_ms)
    machine.sleeps(5 * LIMIT_MS)
    recorded(story, machine.wall_ms, TimeSkipped(gap_ms=5 * LIMIT_MS))
    machine.works(8 * LIMIT_MS)  # The run had been interrupted.
    limit = TimeLimit(folder, folder.read_order())
    limit.look(recorded(story, machine.wall_ms, Recovered(boot=2)))
    assert told(folder) == machine.wall_ms + LIMIT_MS - 600_000


def test_the_time_that_a_plan_gives_an_agent_is_that_of_one_go(tmp_path: Path) -> None:
    work = PlanTask("api", "coder", "implement", command="sh {goal}", goal="x", timeout_s=12)
    other = PlanTask("cli", "coder", "implement", command="sh {goal}", goal="y")
    plan = Plan("both", "code", "by hand", (), (), (PlanPhase("one", (work, other)),))
    folder = create_run("both", make_sample(tmp_path / "shop"), tmp_path / "out", plan=plan)
    order = folder.read_order()
    assert order.plan is not None
    command = submission(folder, order, order.plan, 0, MemoryBlobs())
    tasks = {task.id: task for phase in command.phases for task in phase.tasks}
    for name, wall_ms in (("api", 12_000), ("cli", CodingBounds().wall_ms)):
        given = unpack(tasks[name].input, MemoryBlobs())
        assert given["bounds"]["wall_ms"] == wall_ms
        assert tasks[name].timeout_ms == wall_ms + CODING_SLACK_MS

"""When a run of coding agents has to be over, as its agents read it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from codings import Shop

from visionflow.compose.job import RunFolder, coding
from visionflow.compose.job.coding import TimeLimit
from visionflow.compose.job.story import Story
from visionflow.domain.events import AnyEvent, Record, Recovered, TimeSkipped

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

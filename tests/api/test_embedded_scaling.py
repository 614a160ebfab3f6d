"""The number of an embedded orchestrator's agents follows its load, where its file says so."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.api.rogues import events_of
from visionflow import AgentOrchestrator, Limits, Task
from visionflow.agents.trying import try_import
from visionflow.domain import supervision_events as s
from visionflow.interfaces import templates

BULK = Path(__file__).parents[1] / "serve" / "bulk_agents.py"
WAIT_S = 90.0


def agents_file(folder: Path, autoscale: bool = True, class_name: str = "Bulk") -> Path:
    path = folder / "agents.yaml"
    path.write_text(
        f'agent_templates: {{bulk: {{class: "{BULK}:{class_name}"}}}}\n'
        f"autoscale: {str(autoscale).lower()}\n"
        "autoscaling: {cool_down: 1, queue_wait: 0}\n"
        "max_agents_per_type: {bulk: 3}\n"
        "min_agents_per_type: {bulk: 1}\n",
        encoding="utf-8",
    )
    return path


def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end_s, "it did not come to be"
        time.sleep(0.05)


@pytest.mark.acceptance("scale")
def test_agents_rise_to_the_maximum_of_their_type_and_fall_to_its_minimum(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with AgentOrchestrator(home, agents=agents_file(tmp_path)) as fleet:
        (named,) = fleet.spawn_template("bulk")
        go = tmp_path / "go"
        handles = [fleet.submit(Task(type="other", input={"go": str(go)})) for _ in range(12)]
        until(lambda: len(fleet.agents()) == 3)
        go.touch()
        results = [handle.result(WAIT_S) for handle in handles]
        until(lambda: [each.id for each in fleet.agents()] == [named.id])
    assert len({agent for agent, _ in results}) > 1, "all did the same work"
    decided = [each for each in events_of(home) if isinstance(each, s.ScaleDecided)]
    steps = [(event.before, event.after) for event in decided]
    assert steps[0] == (1, 2) and steps[-1][1] == 1
    assert max(after for _, after in steps) == 3


def test_the_swarms_limit_bounds_it_and_what_its_file_does_not_ask_for_does_not_happen(
    tmp_path: Path,
) -> None:
    few = Limits(agents_max=2)
    with AgentOrchestrator(tmp_path / "a", agents=agents_file(tmp_path), limits=few) as fleet:
        fleet.spawn_template("bulk")
        go = tmp_path / "go"
        handles = [fleet.submit(Task(type="other", input={"go": str(go)})) for _ in range(9)]
        until(lambda: len(fleet.agents()) == 2)
        time.sleep(2.5)
        assert len(fleet.agents()) == 2
        go.touch()
        for handle in handles:
            handle.result(WAIT_S)
    assert any(isinstance(each, s.ScaleDecided) for each in events_of(tmp_path / "a"))
    go.unlink()
    off = agents_file(tmp_path, autoscale=False)
    with AgentOrchestrator(tmp_path / "b", agents=off) as fleet:
        fleet.spawn_template("bulk")
        handles = [fleet.submit(Task(type="other", input={"go": str(go)})) for _ in range(9)]
        time.sleep(2.5)
        assert len(fleet.agents()) == 1
        go.touch()
        for handle in handles:
            handle.result(WAIT_S)
    assert not any(isinstance(each, s.ScaleDecided) for each in events_of(tmp_path / "b"))


def test_a_type_that_cannot_be_made_is_named_in_the_log_lines_and_nothing_else_suffers(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with AgentOrchestrator(home, agents=agents_file(tmp_path, class_name="Missing")) as fleet:
        (_,) = fleet.spawn(f"{BULK}:Bulk", type="bulk")
        go = tmp_path / "go"
        handles = [fleet.submit(Task(type="other", input={"go": str(go)})) for _ in range(3)]
        until(lambda: "Missing" in (home / "visionflow.log").read_text())
        go.touch()
        for handle in handles:
            handle.result(WAIT_S)
    (line,) = [x for x in (home / "visionflow.log").read_text().splitlines() if "Missing" in x]
    assert "agents of the type bulk are not scaled" in line


def test_it_closes_while_a_class_is_still_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(templates, "try_import", partial(try_import, seconds=500.0))
    path = agents_file(tmp_path)
    path.write_text(path.read_text().replace(str(BULK), "./slow.py"))
    fleet = AgentOrchestrator(tmp_path / "home", agents=path)
    fleet.open().spawn(f"{BULK}:Bulk", type="bulk")
    until(begun.exists)
    closing = threading.Thread(target=fleet.close, daemon=True)
    closing.start()
    closing.join(WAIT_S)
    assert not closing.is_alive(), "it waits for an import that nobody needs any more"

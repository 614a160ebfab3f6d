"""task_queue_clear: what a filter means, that nothing else is touched, and that an undo is true."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, settings_in, submit, until, with_core
from test_task_tools import plan
from toolcalls import Tools, agent_up

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, UnknownId, UsageError
from visionflow.domain.tasks import TaskSpec
from visionflow.interfaces.tools.filtering import parse_filter
from visionflow.interfaces.tools.stuck import STUCK_MS_MIN, Stuck
from visionflow.ports.views import TaskRow
from visionflow.runtime.swarms import LiveSwarm

HOUR_MS = 3_600_000


def row(**fields: Any) -> TaskRow:
    """A task of a list, a minute old."""
    given: dict[str, Any] = {
        "id": "task_1",
        "type": "lint",
        "description": "",
        "status": "queued",
        "priority": 20,
        "agent": None,
        "attempt": 0,
        "parent": None,
        "phase": None,
        "reason": None,
        "submitted_ms": 1_000_000,
        "changed_ms": 1_000_000,
        "result": None,
        "result_blob": None,
    }
    return TaskRow(**{**given, **fields})


@pytest.mark.parametrize(
    ("text", "fields", "holds"),
    [
        ("age:>60", {}, False),
        ("age:>=60", {}, True),
        ("age:60", {}, True),
        ("age:>1m", {"submitted_ms": 999_999}, True),
        ("age:>10s,age:<2m", {}, True),
        ("age:>10s,age:<50", {}, False),
        ("priority:medium", {}, True),
        ("priority:>=low|critical", {}, False),
        ("priority:>=low|critical", {"priority": 0}, True),
        ("type:lint|test", {}, True),
        ("type:test", {}, False),
        ("agent:agent_1", {"agent": "agent_1"}, True),
        ("agent:agent_1", {"wanted_agent": "agent_1"}, True),
        ("agent:agent_1", {"agent": "agent_2"}, False),
        ("capability:python|rust", {"capabilities": ("rust", "c")}, True),
        ("capability:python , type: lint", {"capabilities": ("rust",)}, False),
    ],
)
def test_a_term_holds_or_not(text: str, fields: dict[str, Any], holds: bool) -> None:
    assert parse_filter(text).holds(row(**fields), 1_060_000) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour:red", "its keys are status, age"),
        ("stuck", "is no term"),
        ("status:", "is no term"),
        ("status:completed", "a clear knows pending"),
        ("status:stuck|queued", "stuck alone"),
        ("age:>old", "age is '>old'"),
        ("priority:urgent", "critical, high, medium, low"),
        ("type:a,type:b", "type is given twice"),
    ],
)
def test_a_filter_that_cannot_be_read_says_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=".*" + said.replace("|", r"\|")) as refused:
        parse_filter(text)
    assert refused.value.hint


def test_the_guides_filter_is_about_stuck_tasks_of_an_hour() -> None:
    found = parse_filter("status:stuck,age:>3600")
    assert found.stuck
    assert set(found.statuses) >= {"queued", "assigned", "running"}
    assert not found.holds(row(), 1_000_000 + HOUR_MS)
    assert found.holds(row(), 1_000_001 + HOUR_MS)


def test_without_a_filter_nothing_is_cleared_and_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        waiting = [await submit(swarm, "nobody") for _ in range(3)]
        for given in ({}, {"filter": " , "}, {"dryRun": True}):
            with pytest.raises(UsageError, match="Nothing is cleared without a filter"):
                await tools("task_queue_clear", given)
        with pytest.raises(Forbidden):
            await Tools(opened, role=Role.OPERATOR)("task_queue_clear", {"all": True})
        before = opened.server.swarms.get(swarm.id).node.control.head
        told = await tools("task_queue_clear", {"filter": "type:task", "dryRun": True})
        assert (told["cleared"], told["clearId"]) == (3, None)
        assert sorted(each["taskId"] for each in told["tasks"]) == sorted(waiting)
        assert swarm.node.control.head == before
        told = await tools("task_queue_clear", {"all": True})
        assert told["cleared"] == 3
        assert {each["status"] for each in told["tasks"]} == {"queued"}

    with_core(settings_in(tmp_path), use)


def test_an_undo_brings_back_what_its_clear_removed_and_names_what_it_cannot(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        lone = await submit(swarm, "nobody")
        later = await submit(swarm, "nobody")
        blocked = await submit(swarm, "nobody")
        missing = "needs_model: for text; or a person"
        await swarm.ask(c.BlockTask(now_ms=swarm.now_ms, task=blocked, missing=missing))
        _, parts = await plan(swarm, ("only", [("nobody", 1)]))
        first = await tools("task_queue_clear", {"filter": "capability:nobody"})
        assert first["cleared"] == 4
        assert {each["taskId"]: each["undoable"] for each in first["tasks"]} == {
            lone: True,
            later: True,
            blocked: True,
            parts[0]: False,
        }
        status = await tools("task_status", {"taskId": blocked})
        assert status["status"] == "cancelled"
        assert first["clearId"] in status["reason"]
        again = await submit(swarm, "nobody")
        second = await tools("task_queue_clear", {"filter": "type:task"})
        assert [each["taskId"] for each in second["tasks"]] == [again]
        told = await tools("task_queue_clear", {"undo": first["clearId"]})
        assert sorted(told["restored"]) == sorted([lone, later, blocked])
        assert [each["taskId"] for each in told["notRestored"]] == parts
        assert "as a whole" in told["notRestored"][0]["reason"]
        standing = {
            task: (await tools("task_status", {"taskId": task})) for task in (lone, blocked, again)
        }
        assert standing[lone]["status"] == "queued"
        assert (standing[blocked]["status"], standing[blocked]["reason"]) == ("blocked", missing)
        assert standing[again]["status"] == "cancelled"
        with pytest.raises(UnknownId, match="clear_of_nobody"):
            await tools("task_queue_clear", {"undo": "clear_of_nobody"})

    with_core(settings_in(tmp_path), use)


def test_an_agent_may_be_named_in_a_filter(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        ann = await agent_up(swarm, "Holder", name="ann")
        await agent_up(swarm, "Holder", name="bob")
        await submit(swarm, "nobody")
        own = await submit(swarm, "nobody", agent=ann)
        for word in ("ann", ann, "ann|cas"):
            given = {"filter": f"agent:{word}", "dryRun": True}
            told = await tools("task_queue_clear", given)
            assert [each["taskId"] for each in told["tasks"]] == [own]

    with_core(settings_in(tmp_path), use)


def test_a_clear_and_an_undo_that_are_sent_again_are_done_once(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        old = [await submit(swarm, "nobody") for _ in range(3)]
        first = await tools("task_queue_clear", {"all": True}, key="k1")
        new = await submit(swarm, "nobody")
        again = await tools("task_queue_clear", {"all": True}, key="k1")
        assert again == first
        assert swarm.state.tasks[new].status == "queued"
        undo = {"undo": first["clearId"]}
        undone, same = await asyncio.gather(
            *(tools("task_queue_clear", undo, key="k2") for _ in range(2))
        )
        assert sorted(undone["restored"]) == sorted(old)
        assert same == undone
        cleared = await tools("task_queue_clear", {"all": True})
        assert cleared["cleared"] == 4
        repeated = await tools("task_queue_clear", undo, key="k2")
        assert sorted(repeated.pop("restored")) == sorted(undone.pop("restored"))
        assert repeated == undone
        assert {swarm.state.tasks[name].status for name in (*old, new)} == {"cancelled"}

    with_core(settings_in(tmp_path), use)


def test_a_clear_is_known_and_can_be_taken_back_after_a_restart(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def before(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        for _ in range(3):
            await submit(swarm, "nobody")
        told.append(await tools("task_queue_clear", {"all": True}, key="k"))
        task = await submit(swarm, "nobody")
        told.append(await tools("task_cancel", {"taskId": task}, key="k2"))
        await opened.close(kill=True)

    async def after(opened: OpenServer) -> None:
        tools = Tools(opened, client="another")
        swarm = opened.server.swarms.get("swarm_1")
        new = await submit(swarm, "nobody")
        assert await tools("task_queue_clear", {"all": True}, key="k") == told[0]
        assert swarm.state.tasks[new].status == "queued", "it is done once, also after a restart"
        cancelled = told[1]["taskId"]
        assert await tools("task_cancel", {"taskId": cancelled}, key="k2") == told[1]
        undone = await tools("task_queue_clear", {"undo": told[0]["clearId"]})
        assert sorted(undone["restored"]) == sorted(each["taskId"] for each in told[0]["tasks"])
        listed = await tools("task_list", {"status": "queued"})
        assert {each["taskId"] for each in listed["tasks"]} == {new, *undone["restored"]}

    with_core(settings_in(tmp_path), before)
    with_core(settings_in(tmp_path), after)


def test_a_running_task_that_is_cleared_is_stopped_and_runs_again_after_an_undo(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until((tmp_path / f"{task}.began").exists)
        assert (await tools("task_queue_clear", {"all": True}))["cleared"] == 0
        told = await tools("task_queue_clear", {"filter": "status:assigned|running"})
        assert [each["taskId"] for each in told["tasks"]] == [task]
        await until((tmp_path / f"{task}.stopped").exists)
        await ended(swarm, task)
        (tmp_path / "go").touch()
        undone = await tools("task_queue_clear", {"undo": told["clearId"]})
        assert undone["restored"] == [task]
        told = await tools("task_results", {"taskId": task, "wait": True})
        assert told["result"] == "done"

    with_core(settings_in(tmp_path), use)


def test_stuck_is_what_nobody_can_take_or_what_makes_no_progress_for_too_long(
    tmp_path: Path,
) -> None:
    async def judged(swarm: LiveSwarm, task: str, after_ms: int) -> bool:
        found, _ = await swarm.read(lambda queries: queries.story(task))
        return await Stuck(swarm, HOUR_MS).is_so(found, found.changed_ms + after_ms)

    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Holder")
        lone, pinned = await submit(swarm, "nobody"), "task_pinned"
        running = await submit(swarm, "holder", str(tmp_path))
        waiting = await submit(swarm, "holder", str(tmp_path))
        spec = TaskSpec(id=pinned, type="quick", agent=agent)
        await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=spec))
        await until(lambda: running in swarm.signals)
        assert await judged(swarm, lone, HOUR_MS + 1)
        assert not await judged(swarm, lone, HOUR_MS)
        assert not await judged(swarm, waiting, 10 * HOUR_MS)
        assert not await judged(swarm, pinned, 10 * HOUR_MS)
        # Of one that runs the log says it, and nobody has another opinion.
        assert not await judged(swarm, running, 2 * HOUR_MS)
        for report, stuck in ((sc.ReportStall, True), (sc.ReportProgress, False)):
            told = report(now_ms=swarm.now_ms, task=running, attempt=1, evidence="as told")
            await swarm.ask(told)
            assert await judged(swarm, running, 0) is stuck
        (tmp_path / "go").touch()
        await ended(swarm, waiting)
        # Now there is a record of its type: twice what those took, but never a mere moment.
        lone = await submit(swarm, "nobody")
        assert await judged(swarm, lone, STUCK_MS_MIN + 1)
        assert not await judged(swarm, lone, STUCK_MS_MIN)

    with_core(settings_in(tmp_path), use)


def test_a_clear_takes_so_many_and_says_that_there_are_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visionflow.interfaces.tools import clearing

    monkeypatch.setattr(clearing, "CLEAR_MAX", 5)

    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await asyncio.gather(*(submit(swarm, "nobody") for _ in range(7)))
        told = await tools("task_queue_clear", {"all": True})
        assert (told["cleared"], told["more"]) == (5, True)
        told = await tools("task_queue_clear", {"all": True})
        assert (told["cleared"], told["more"]) == (2, False)

    with_core(settings_in(tmp_path), use)

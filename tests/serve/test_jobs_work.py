"""Work of a type that agents know, handed into a swarm: what arrives, in which order, how often."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from desks import Desk, agents_file, workspace_in
from served import settings_in, until, with_core

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UnknownAgent, UsageError, WorkspaceError
from visionflow.domain.events import TaskAssigned, TaskCompleted

TEXT = (
    'def f():\n\treturn "it\'s" + `x` -- \\n \\u0041\r\n<script>alert(1)</script> \x00\x7f '
    + "\U0001f600\u202e é " * 6_000
)
"""More than 60 kB as UTF-8."""


def on_desk(folder: Path, use: Callable[[Desk], Awaitable[Any]], **more: Any) -> Any:
    workspace_in(folder)
    settings = settings_in(folder, agents_file=agents_file(folder), **more)
    return with_core(settings, lambda opened: use(Desk(opened)))


async def told(desk: Desk, task: Any, **given: Any) -> dict[str, Any]:
    return await desk.call("task_orchestrate", task=task, wait=True, waitTimeout=60, **given)


def test_a_text_arrives_byte_for_byte_with_all_that_came_beside_it(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        assert len(TEXT.encode()) > 60_000
        given = {"nested": [1, None, "\x00"], "big": "x" * 100_000}
        task = {
            "description": TEXT, "agentType": "teller", "type": "say", "input": given,
            "config": {"k": [1]}, "priority": "critical",
        }  # fmt: skip
        found = await told(desk, task)
        assert found["status"] == "completed"
        result = found["result"]
        assert result["description"] == TEXT
        assert (result["input"], result["config"]) == (given, {"k": [1]})
        assert (result["type"], result["priority"], result["attempt"]) == ("say", 0, 1)
        assert found["formedAgents"] == [result["agent"]]
        with pytest.raises(UsageError, match="UTF-8"):
            await told(desk, {"description": "half \ud800", "agentType": "teller"})
        with pytest.raises(UsageError, match="65536"):
            await told(desk, {"description": "x" * 70_000, "agentType": "teller"})

    on_desk(tmp_path, use)


def test_subtasks_go_to_whoever_can_and_their_results_come_by_part(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("swarm_init", maxAgents=5)
        for name in ("Ada", "Bob"):
            await desk.call("agent_spawn", agentType="teller", name=name)
        named = {"description": "three", "agentId": "Bob"}
        task = {"description": "all", "type": "say", "subtasks": ["one", "two", named]}
        found = await told(desk, task, requiredCapabilities="speech", strategy="sequential")
        assert [part["description"] for part in found["result"]["work"]] == ["one", "two", "three"]
        agents = await desk.call("agent_list")
        bob = next(each["id"] for each in agents["agents"] if each["name"] == "Bob")
        assert found["result"]["work"][2]["agent"] == bob
        assert len(found["orchestrationPlan"]["phases"][0]["tasks"]) == 3
        with pytest.raises(UnknownAgent, match="Eve"):
            await told(desk, {"description": "x", "agentId": "Eve"})

    on_desk(tmp_path, use)


@pytest.mark.acceptance("task-run")
def test_three_stages_chain_their_results_in_the_order_of_the_log(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        found = await told(desk, "Explain this", stages="research,teller,second")
        assert found["status"] == "completed", found
        phases = found["orchestrationPlan"]["phases"]
        assert [each["name"] for each in phases] == ["research", "teller", "second"]
        (research,), (tale,), (last,) = (found["result"][each["name"]] for each in phases)
        assert tale["description"] == "Explain this"
        assert list(tale["dependencies"].values()) == [research]
        assert list(last["dependencies"].values()) == [research, tale]
        assert research["research"]["indexed"]
        swarm = desk.opened.server.swarms.get(found["swarmId"])
        page = await swarm.read(lambda queries: queries.events())
        ended = [row.event.task for row in page.events if isinstance(row.event, TaskCompleted)]
        begun = [row.event.task for row in page.events if isinstance(row.event, TaskAssigned)]
        parts = [task for phase in phases for task in phase["tasks"]]
        assert (begun, ended) == (parts, [*parts, found["taskId"]])
        with pytest.raises(UsageError, match="deploy"):
            await told(desk, "Explain this", stages="research,deploy")

    on_desk(tmp_path, use)


def test_at_most_so_many_run_at_once_as_was_asked(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        for _ in range(3):
            await desk.call("agent_spawn", agentType="waiter", swarmId="swarm_1", wait=True)
        go = tmp_path / "go"
        parts = [
            {"description": str(n), "agentType": "waiter", "type": "wait",
             "input": {"here": str(tmp_path / f"here{n}"), "go": str(go)}}
            for n in range(3)
        ]  # fmt: skip

        async def at_once(**given: Any) -> int:
            go.unlink(missing_ok=True)
            for n in range(3):
                (tmp_path / f"here{n}").unlink(missing_ok=True)
            task = {"description": "all", "subtasks": parts}
            begun = await desk.call("task_orchestrate", task=task, swarmId="swarm_1", **given)
            swarm = desk.opened.server.swarms.get("swarm_1")

            def open_() -> int:
                return sum(len(agent.open) for agent in swarm.state.agents.values())

            await until(lambda: any((tmp_path / f"here{n}").exists() for n in range(3)))
            found = open_()
            go.touch()
            ended = await desk.call("task_results", taskId=begun["taskId"], wait=True)
            assert ended["result"]["work"] == ["waited"] * 3
            return found

        assert await at_once() == 3
        assert await at_once(parallelism=2) == 2
        assert await at_once(strategy="sequential") == 1
        assert await at_once(execution={"mode": "sequential"}) == 1

    on_desk(tmp_path, use)


def test_attempts_are_made_as_often_and_as_long_as_was_asked(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        task = {"description": "x", "type": "fail", "agentType": "failer"}
        none = await told(desk, task, execution={"retryPolicy": "none"})
        assert none["status"] == "failed"
        standing = await desk.call("task_status", taskId=none["taskId"])
        assert [each["outcome"] for each in standing["attempts"]] == ["error"]
        again = {**task, "input": {"until": 2}}
        twice = await told(desk, again, execution={"retryPolicy": "linear_backoff"})
        assert (twice["status"], twice["result"]) == ("completed", 2)
        wait = {"description": "x", "agentType": "waiter", "type": "wait"}
        waits = {**wait, "input": {"here": str(tmp_path / "h"), "go": str(tmp_path / "never")}}
        slow = await told(
            desk, waits, timeout="300ms", execution={"retryPolicy": "none"}, formTeam=True
        )
        assert slow["status"] == "failed"
        standing = await desk.call("task_status", taskId=slow["taskId"])
        assert [each["outcome"] for each in standing["attempts"]] == ["timeout"]
        late = await told(desk, waits, deadline="300ms")
        assert "deadline" in (await desk.call("task_status", taskId=late["taskId"]))["reason"]

    on_desk(tmp_path, use)


def test_parts_may_fail_up_to_the_threshold(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("agent_spawn", agentType="failer", swarmId="swarm_1")
        good = {"description": "g", "type": "fail", "input": {"until": 1}}
        task = {
            "description": "all",
            "subtasks": [good, good, {"description": "b", "type": "fail"}],
        }
        once = {"retryPolicy": "none"}
        strict = await told(desk, task, execution=once)
        assert strict["status"] == "failed"
        borne = await told(desk, task, execution={**once, "failureThreshold": 0.4})
        assert (borne["status"], borne["result"]) == ("completed", {"work": [1, 1, None]})

    on_desk(tmp_path, use)


def test_what_nobody_can_take_stays_queued_and_the_answer_says_what_mends_it(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("agent_spawn", agentType="failer", swarmId="swarm_1")
        task = {"description": "speak", "type": "say"}
        found = await desk.call("task_orchestrate", task=task, requiredCapabilities="speech")
        assert (found["status"], found["unmetCapabilities"]) == ("queued", ["speech"])
        assert found["formedAgents"] == []
        (warning,) = found["warnings"]
        assert "speech" in warning
        assert "agent_spawn" in warning
        await desk.call("agent_spawn", agentType="teller", swarmId="swarm_1")
        ended = await desk.call("task_results", taskId=found["taskId"], wait=True)
        assert ended["result"]["description"] == "speak"
        typed = await desk.call(
            "task_orchestrate", task={"description": "w", "agentType": "waiter"}, formTeam=False
        )
        assert typed["status"] == "queued"
        assert "waiter" in typed["warnings"][0]
        formed = await desk.call(
            "task_orchestrate", task={"description": "w", "agentType": "waiter"}
        )
        assert len(formed["formedAgents"]) == 1
        with pytest.raises(UsageError, match="singer"):
            await told(desk, {"description": "x", "agentType": "singer"})

    on_desk(tmp_path, use)


def test_a_role_works_only_where_the_server_lets_it_and_writes_where_the_server_says(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        inside = tmp_path / "workspace" / "deep"
        inside.mkdir()
        (tmp_path / "workspace" / "out").symlink_to(tmp_path)
        for outside in ("/", "..", str(tmp_path), "out", "deep/../../home", "/etc", "\x00"):
            for given in (
                {"task": "Explain this", "workspace": outside},
                {"task": {"description": "x", "type": "research", "workspace": outside}},
                {"task": {"description": "x", "type": "research", "input": {"workspace": outside}}},
            ):
                with pytest.raises(WorkspaceError):
                    await desk.call("task_orchestrate", **given)
        for key in ("trusted", "junit", "repository", "scratch", "cache", "patch", "virtual_env"):
            task = {"description": "x", "type": "run_tests", "input": {key: "/tmp/x"}}
            with pytest.raises(UsageError, match=key):
                await desk.call("task_orchestrate", task=task)
        task = {"description": "doubles", "type": "research", "workspace": "deep"}
        found = await told(desk, task)
        assert found["status"] == "completed"
        whole = await told(desk, {"description": "Find what doubles", "type": "research"})
        assert "tidy.py" in str(whole["result"])
        with pytest.raises(UsageError, match="which type"):
            await desk.call("task_orchestrate", task={"description": "x", "agentType": "coder"})
        assert sorted(os.listdir(tmp_path / "workspace" / "deep")) == []

    on_desk(tmp_path, use)


def test_one_key_is_one_task_however_often_and_from_wherever_it_comes(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        def ask(key: str) -> Awaitable[dict[str, Any]]:
            task = {"description": "hello", "agentType": "teller"}
            return desk.call("task_orchestrate", task=task, idempotencyKey=key)

        found = await asyncio.gather(*(ask("k1") for _ in range(10)), ask("k2"))
        ids = [each["taskId"] for each in found]
        assert len(set(ids[:10])) == 1
        assert ids[10] != ids[0]
        assert (await ask("k1"))["taskId"] == ids[0]
        listed = await desk.call("task_list")
        assert sorted(each["taskId"] for each in listed["tasks"]) == sorted({*ids})

    on_desk(tmp_path, use)


def test_a_call_that_is_taken_back_takes_its_task_with_it(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        given = {"here": str(tmp_path / "here"), "go": str(tmp_path / "never")}
        task = {"description": "x", "agentType": "waiter", "type": "wait", "input": given}
        by = desk.prepared()
        asked = asyncio.ensure_future(
            desk.call("task_orchestrate", by, task=task, wait=True, swarmId="swarm_1")
        )
        await until((tmp_path / "here").exists)
        (id_,) = desk.opened.server.swarms.get("swarm_1").state.tasks
        reading = desk.prepared()
        watching = asyncio.ensure_future(desk.call("task_results", reading, taskId=id_, wait=True))
        await until(lambda: (0.5, "half of it") in desk.progress)
        reading.cancelled.set()
        assert (await watching)["status"] == "running"
        by.cancelled.set()
        await asyncio.wait_for(asked, 30)
        ended = await desk.call("task_results", taskId=id_, wait=True)
        assert ended["status"] == "cancelled"
        assert "taken back" in ended["reason"]
        (tmp_path / "here").unlink()
        gone = desk.prepared()
        gone.taken_back = False
        left = asyncio.ensure_future(desk.call("task_orchestrate", gone, task=task, wait=True))
        await until((tmp_path / "here").exists)
        gone.cancelled.set()
        assert (await left)["status"] in ("assigned", "running")
        short = await desk.call("task_orchestrate", task=task, wait=True, waitTimeout="50ms")
        assert (short["status"], short["result"]) == ("queued", None)

    on_desk(tmp_path, use)


def test_whoever_waits_for_what_nobody_can_take_hears_why_and_what_mends_it(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("agent_spawn", agentType="failer", swarmId="swarm_1")
        waits = {
            "speak": {"description": "speak", "type": "say", "requiredCapabilities": "speech"},
            "all": {
                "description": "all",
                "requiredCapabilities": "speech",
                "subtasks": [
                    {"description": "first", "type": "say"},
                    {"description": "second", "type": "say"},
                ],
            },
        }
        given = {"formTeam": False, "wait": True, "waitTimeout": 60}
        calls = [
            asyncio.ensure_future(
                desk.call("task_orchestrate", desk.prepared(), task=task, **given)
            )
            for task in waits.values()
        ]
        why = "No agent has the capability speech; agent_spawn adds one."
        await until(lambda: (None, f"queued: {why}") in desk.progress)
        told_of_parts = f"phase work (1 of 1): first (with 1 more) waits: {why}"
        await until(lambda: (0.0, told_of_parts) in desk.progress)
        await desk.call("agent_spawn", agentType="teller", swarmId="swarm_1")
        for each in await asyncio.gather(*calls):
            assert each["status"] == "completed", each

    on_desk(tmp_path, use)


def test_a_type_of_task_that_a_role_does_goes_to_that_role_whoever_else_is_idle(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        spawned = {
            kind: (await desk.call("agent_spawn", type=kind, swarmId="swarm_1", wait=True))[
                "agentId"
            ]
            for kind in ("coder", "researcher", "coordinator")
        }
        for kind in ("survey", "research"):
            role = {"survey": "coordinator", "research": "researcher"}[kind]
            task = {"description": "numbers", "type": kind}
            found = await desk.call("task_orchestrate", task=task, wait=True)
            assert (found["status"], found["formedAgents"]) == ("completed", [])
            assert [each["agentId"] for each in found["assignedAgents"]] == [spawned[role]]

    on_desk(tmp_path, use)


def test_whoever_waits_for_what_nobody_can_do_is_answered_at_once_with_what_is_lacking(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("swarm_init", maxAgents=1)
        failer = await desk.call("agent_spawn", agentType="failer")
        task = {"description": "say it", "type": "say", "agentType": "teller"}
        one = await desk.call("task_orchestrate", task=task, wait=True)
        why = (
            "There is no agent of type teller; it has its 1 agents: swarm_scale gives it room, "
            "then agent_spawn adds one."
        )
        assert (one["status"], one["reason"], one["result"]) == ("queued", why, None)
        assert why in one["warnings"]
        both = [{"description": word, "type": "say", "agentType": "teller"} for word in "ab"]
        plan = await desk.call(
            "task_orchestrate", task={"description": "all", "subtasks": both}, wait=True
        )
        whole = f"a (with 1 more) waits: {why}"
        assert (plan["status"], plan["reason"]) == ("orchestrating", whole)
        assert whole in plan["warnings"]
        stands = await desk.call("task_status", taskId=plan["taskId"])
        again = await desk.call("task_results", taskId=plan["taskId"], wait=True)
        assert stands["reason"] == again["reason"] == whole
        assert again["status"] == "orchestrating"
        swarm = await desk.call("swarm_status")
        assert swarm["warnings"][-1] == f"3 queued tasks wait: {why}"
        await desk.call("swarm_scale", maxAgents=2)
        swarm = await desk.call("swarm_status")
        assert swarm["warnings"][-1].endswith("type teller; agent_spawn adds one.")
        await desk.call("agent_spawn", agentType="teller")
        done = await desk.call("task_results", taskId=plan["taskId"], wait=True)
        assert (done["status"], done["reason"]) == ("completed", None)
        swarm = await desk.call("swarm_status")
        assert not any("wait" in each for each in swarm["warnings"])
        assert failer["agentId"] not in [part["agentId"] for part in done["parts"]]

    on_desk(tmp_path, use)


def test_a_wait_that_becomes_vain_ends_and_one_with_a_time_does_not(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        agent = await desk.call("agent_spawn", agentType="waiter", swarmId="swarm_1")
        task = {"description": "wait", "type": "wait", "agentId": agent["agentId"]}
        task["input"] = {"here": str(tmp_path / "here"), "go": str(tmp_path / "go")}
        begun = await desk.call("task_orchestrate", task=task)
        waits = desk.call("task_results", taskId=begun["taskId"], wait=True)
        timed = desk.call("task_results", taskId=begun["taskId"], wait=True, waitTimeout=60)
        vain, patient = asyncio.ensure_future(waits), asyncio.ensure_future(timed)
        await until(lambda: (tmp_path / "here").exists())
        await desk.call("agent_terminate", agentId=agent["agentId"])
        told = await vain
        assert told["status"] == "queued" and "It is for agent" in told["reason"]
        assert not patient.done()
        await desk.call("task_cancel", taskId=begun["taskId"])
        assert (await patient)["status"] == "cancelled"

    on_desk(tmp_path, use)


def test_what_failed_while_it_was_waited_for_tells_why_and_who_did_it(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        failer = await desk.call("agent_spawn", agentType="failer", swarmId="swarm_1")
        await desk.call("agent_spawn", agentType="teller", swarmId="swarm_1")
        found = await desk.call(
            "task_orchestrate",
            task={"description": "fail", "type": "fail", "agentType": "failer"},
            execution={"retryPolicy": "none"},
            wait=True,
        )
        stands = await desk.call("task_status", taskId=found["taskId"])
        assert found["status"] == stands["status"] != "completed"
        assert found["reason"] == stands["reason"] and found["reason"]
        assert [each["agentId"] for each in found["assignedAgents"]] == [failer["agentId"]]

    on_desk(tmp_path, use)


ROLES_ONLY = "No agent here does tasks of type 'nosuchtype'."


@pytest.mark.parametrize("spawned", [(), ("reviewer",)])
def test_a_type_that_nobody_does_is_refused_by_its_name(
    tmp_path: Path, spawned: tuple[str, ...]
) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        await desk.call("swarm_init")
        for kind in spawned:
            await desk.call("agent_spawn", agentType=kind)
        with pytest.raises(UsageError, match=ROLES_ONLY) as told:
            await desk.call("task_orchestrate", task={"description": "x", "type": "nosuchtype"})
        assert "run_tests" in (told.value.hint or "")
        with pytest.raises(UsageError, match="A task has to say its type"):
            await desk.call("task_orchestrate", task={"description": "x", "subtasks": ["a", "b"]})
        wrong = {"description": "x", "type": "nosuchtype", "agentType": "reviewer"}
        with pytest.raises(UsageError, match="Agents of type reviewer do no tasks of type") as told:
            await desk.call("task_orchestrate", task=wrong)
        assert "review_code" in (told.value.hint or "")
        with pytest.raises(UsageError, match="do no tasks of type 'run_tests'") as told:
            await desk.call("task_orchestrate", task={**wrong, "type": "run_tests"})
        assert "write tester" in (told.value.hint or "")
        (swarm,) = opened.server.swarms.all()
        assert not swarm.state.tasks

    workspace_in(tmp_path)
    with_core(settings_in(tmp_path), use)


def test_a_type_that_no_role_knows_is_kept_from_the_roles(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        given = {"description": "x", "type": "own"}
        await desk.call("agent_spawn", agentType="reviewer", swarmId="swarm_1")
        with pytest.raises(UsageError, match="No agent here does tasks of type 'own'") as told:
            await desk.call("task_orchestrate", task=given)
        assert "teller, second, waiter, failer" in (told.value.hint or "")
        teller = await desk.call("agent_spawn", agentType="teller", swarmId="swarm_1")
        for _ in range(5):
            found = await desk.call("task_orchestrate", task=given, wait=True)
            assert (found["status"], found["result"]["agent"]) == ("completed", teller["agentId"])

    on_desk(tmp_path, use)


def test_where_no_role_could_take_it_whoever_can_does_it(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        kinds = ("teller", "second", "reviewer")
        spawned = [
            await desk.call("agent_spawn", agentType=kind, swarmId="swarm_1", wait=True)
            for kind in kinds
        ]
        task = {"description": "x", "subtasks": [{"type": "own", "requiredCapabilities": "speech"}]}
        task["subtasks"] = task["subtasks"] * 6
        found = await desk.call("task_orchestrate", task=task, wait=True)
        who = {each["agent"] for each in found["result"]["work"]}
        assert who == {each["agentId"] for each in spawned[:2]}

    on_desk(tmp_path, use)


def test_a_plan_that_failed_tells_which_of_its_parts_did_and_why(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        works = [{"description": "a", "agentType": kind} for kind in ("failer", "teller")]
        task = {"description": "both", "subtasks": works}
        found = await told(desk, task, execution={"retryPolicy": "none"})
        results = await desk.call("task_results", taskId=found["taskId"])
        assert found["status"] == "failed"
        assert found["reason"].startswith("phase work: 1 of 2 failed, and none may")
        assert found["reason"] == results["reason"]
        why, *cut = found["warnings"]  # The other may have been cut off.
        assert results["warnings"] == [why, *cut]
        failed = next(each for each in results["parts"] if each["status"] != "completed")
        assert failed["taskId"] in why and failed["reason"] in why and "fails" in why

    on_desk(tmp_path, use)

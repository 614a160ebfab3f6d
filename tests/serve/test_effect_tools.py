"""The tools about outside effects, on real workers: a doubt waits, and a person decides."""

from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, settings_in, submit, until, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, Refused, UnknownId, UsageError
from visionflow.domain.tasks import TaskStatus
from visionflow.runtime.intake import unpack
from visionflow.runtime.swarms import LiveSwarm

pytestmark = pytest.mark.acceptance("effects")
AGENTS = Path(__file__).with_name("effect_agents.py")


async def clerk(opened: OpenServer, name: str = "swarm_1") -> LiveSwarm:
    """A swarm with an agent that sends letters."""
    swarm = await new_swarm(opened, name)
    for kind in ("Clerk", "Clerical"):
        path, offered = f"{AGENTS}:{kind}", (kind.lower(),)
        await swarm.ask(swarm.node.intake.agent(kind.lower(), path, capabilities=offered))
    return swarm


async def blocked(swarm: LiveSwarm, task: str) -> str:
    """Wait until a task is blocked; the key of the effect that it waits for."""
    await until(lambda: swarm.state.tasks[task].status is TaskStatus.BLOCKED)
    reason = swarm.state.tasks[task].reason or ""
    assert reason.startswith("effect ") and reason.endswith(" in doubt")
    return reason.removeprefix("effect ").removesuffix(" in doubt")


def test_effects_are_listed_as_they_are_and_a_doubt_is_resolved_once(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm, folder = Tools(opened), await clerk(opened), str(tmp_path)
        sure = await submit(swarm, "clerk", {"folder": folder, "text": "yes"})
        assert unpack((await ended(swarm, sure)).result, swarm.blobs) == {"receipt": "yes"}
        unsure = await submit(swarm, "clerical", {"folder": folder, "text": "really?"})
        key = await blocked(swarm, unsure)
        assert (tmp_path / "sent").read_text() == "yes\nreally?\n"

        told = await tools("effects", {"swarmId": swarm.id})
        first, second = told["effects"]
        assert (first["status"], first["taskId"], first["request"]) == ("settled", sure, "send yes")
        assert first["effectClass"] == "in_doubt" and first["result"] is None
        assert (second["key"], second["status"], second["attempt"]) == (key, "in_doubt", 1)
        assert "went dead" in second["reason"]
        alone = await tools("effects", {"swarmId": swarm.id, "key": first["key"]})
        assert alone["effects"][0]["result"] == {"receipt": "yes"}
        page = await tools("effects", {"swarmId": swarm.id, "limit": 1})
        rest = await tools("effects", {"swarmId": swarm.id, "cursor": page["nextCursor"]})
        assert [page["effects"][0]["key"], *(e["key"] for e in rest["effects"])] == [
            first["key"],
            key,
        ]
        doubts = {"swarmId": swarm.id, "status": "in_doubt", "taskId": unsure}
        assert [e["key"] for e in (await tools("effects", doubts))["effects"]] == [key]

        given: dict[str, Any] = {"key": key, "resolution": "done", "note": "it is in the post"}
        with pytest.raises(Forbidden):
            await Tools(opened, role=Role.VIEWER)("effect_resolve", given)
        with pytest.raises(UsageError):
            await tools("effect_resolve", {**given, "resolution": "perhaps"})
        with pytest.raises(UsageError):
            await tools("effect_resolve", {**given, "resolution": "not_done", "result": 1})
        given["result"] = {"receipt": "found"}
        for _ in range(2):  # The same key is the same call.
            told = await tools("effect_resolve", given, key="once")
            assert (told["status"], told["resolution"]) == ("resolved", "done")
            assert told["tasks"] == [unsure]
        assert unpack((await ended(swarm, unsure)).result, swarm.blobs) == {"receipt": "found"}
        assert (tmp_path / "sent").read_text() == "yes\nreally?\n", "nothing was sent again"
        with pytest.raises(Refused) as again:
            await tools("effect_resolve", {**given, "note": "once more"})
        assert again.value.reason == "not_in_doubt"
        row = (await tools("effects", {"swarmId": swarm.id, "key": key}))["effects"][0]
        assert (row["by"], row["note"]) == ("local:tests", "it is in the post")

    with_core(settings_in(tmp_path), use)


def test_one_that_was_not_done_is_sent_and_an_abandoned_one_fails_its_task(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm, folder = Tools(opened), await clerk(opened), str(tmp_path)
        one = await submit(swarm, "clerk", {"folder": folder, "text": "a?", "key": "a"})
        other = await submit(swarm, "clerk", {"folder": folder, "text": "b?", "key": "b"})
        assert [await blocked(swarm, one), await blocked(swarm, other)] == ["a", "b"]
        note = {"note": "I asked them"}
        await tools("effect_resolve", {"key": "a", "resolution": "not_done", **note})
        await until(lambda: len(swarm.state.outside.effects["a"].holders) == 2)
        await blocked(swarm, one)
        assert (tmp_path / "sent").read_text().split() == ["a?", "b?", "a?"]
        secret = {"note": "I asked them with password=hunter2xyz"}
        told = await tools("effect_resolve", {"key": "b", "resolution": "abandoned", **secret})
        assert told["tasks"] == [other]
        over = await ended(swarm, other)
        assert over.status is TaskStatus.FAILED and "abandoned" in (over.reason or "")
        assert "password=***" in (over.reason or "") and "hunter2" not in (over.reason or "")
        with pytest.raises(UnknownId):
            await tools("effect_resolve", {"key": "c", "resolution": "done", **note})
        with pytest.raises(UnknownId):
            await tools("effects", {"swarmId": swarm.id, "key": "c"})

        await tools("swarm_destroy", {"swarmId": swarm.id})
        left = (await tools("effects", {"swarmId": swarm.id}))["effects"]
        assert [(e["key"], e["status"], e["resolution"]) for e in left] == [
            ("a", "in_doubt", None),
            ("b", "resolved", "abandoned"),
        ]

    with_core(settings_in(tmp_path), use)

"""The tools about mail, on real workers: who gets what, what is read, and who is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from served import PATIENCE_S, settings_in, status_of, until, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import (
    Forbidden,
    InboxFull,
    Refused,
    UnknownAgent,
    UnknownSwarm,
    UsageError,
)
from visionflow.domain.limits import Limits
from visionflow.domain.mail import DIRECT
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.runtime.swarms import LiveSwarm

pytestmark = pytest.mark.acceptance("bus")
AGENTS = Path(__file__).with_name("mail_agents.py")


async def swarm_of(opened: OpenServer, topology: Topology = Topology.MESH) -> LiveSwarm:
    spec = SwarmSpec(id="swarm_1", topology=topology, limits=Limits(agents_max=9))
    return await opened.server.swarms.create(spec, "tests")


async def agent(swarm: LiveSwarm, name: str, kind: str = "Reading", **more: Any) -> str:
    command = swarm.node.intake.agent(
        more.pop("type", "reader"), f"{AGENTS}:{kind}", name=name, **more
    )
    await swarm.ask(command)
    await until(lambda: status_of(swarm, command.spec.id) is AgentStatus.READY)
    return command.spec.id


def of_agent(opened: OpenServer, identity: str) -> Tools:
    """The tools as an agent with a token of its own calls them."""
    tools = Tools(opened)
    tools.caller = Caller(
        name=f"agent:{identity}", role=Role.AGENT, face="tcp", client=f"c-{identity}"
    )
    return tools


def test_what_a_client_sends_is_external_reaches_all_and_is_read_and_acknowledged(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened, Topology.STAR)
        first, second = await agent(swarm, "first"), await agent(swarm, "second")
        # As the guide has it: `from` is a name that is no agent.
        told = await tools(
            "daa_communication",
            {
                "from": "mesh-coordinator",
                "to": "all",
                "message": '{"type":"network_init","topology":"mesh"}',
            },
        )
        assert (told["from"], told["external"], told["swarmId"]) == (
            "mesh-coordinator",
            True,
            "swarm_1",
        )
        assert (told["delivered"], told["withheld"], told["full"]) == ([first, second], [], [])
        inbox = await tools("agent_inbox", {"agentId": "second"})
        (message,) = inbox["messages"]
        assert (message["type"], message["from"]) == ("network_init", "mesh-coordinator")
        assert message["content"] == {"type": "network_init", "topology": "mesh"}
        assert (inbox["waiting"], inbox["acknowledged"]) == (1, [])
        number = message["deliveryId"]
        taken = await tools("agent_inbox", {"agentId": second, "acknowledge": [number, 999]})
        assert (taken["acknowledged"], taken["messages"], taken["waiting"]) == ([number], [], 0)
        assert swarm.state.mail.inboxes.keys() == {first}

    with_core(settings_in(tmp_path), use)


def test_a_message_to_one_agent_may_wait_for_its_answer(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened)
        answering = await agent(swarm, "answering", "Answering")
        given = {"agentId": "answering", "message": {"n": 1}, "timeout": 60}
        told = await tools("agent_message", given, key="k1")
        assert told["answer"] == {"heard": {"n": 1}} and told["answeredAt"] is not None
        again = await tools("agent_message", given, key="k1")
        assert again == told
        (sent,) = [x for x in swarm.state.mail.seen if x == told["messageId"]]
        assert swarm.state.mail.seen[sent] == 1
        silent = {"agentId": answering, "message": {"silent": True}, "timeout": "200ms"}
        none = await tools("agent_message", silent)
        assert (none["answer"], none["answeredAt"]) == (None, None)
        assert told["reason"] is None and none["reason"] == "No answer came within 0.2 s."
        failing = {"agentId": answering, "message": {"fails": "way"}, "type": "order"}
        await tools("agent_message", failing)
        await until(lambda: bool(swarm.state.mail.dead))
        dead = await tools("agent_inbox", {"agentId": answering, "dead": True})
        (letter,) = dead["messages"]
        assert (letter["type"], letter["reason"]) == ("order", "handler_failed")
        assert "ValueError: no way" in letter["note"]
        # Nobody waits on for what can come no more; were it so this would end after the test.
        given = {"agentId": answering, "message": {"fails": "use"}, "timeout": 600}
        lost = await tools("agent_message", given)
        assert lost["answer"] is None and "dead letter, handler_failed: " in lost["reason"]
        assert "ValueError: no use" in lost["reason"]

    with_core(settings_in(tmp_path), use)


def test_in_the_name_of_an_agent_the_rules_for_agents_hold(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened, Topology.STAR)
        centre = await agent(swarm, "centre", type="coordinator")
        first, second = await agent(swarm, "first"), await agent(swarm, "second")
        words = {"to": second, "message": {"text": "psst"}}
        with pytest.raises(Refused) as refused:
            await tools("daa_communication", {**words, "from": "first"})
        assert refused.value.reason == "not_allowed" and centre in str(refused.value)
        told = await tools("daa_communication", {**words, "to": "all", "from": "first"})
        assert (told["from"], told["external"]) == (first, False)
        assert (told["delivered"], told["withheld"]) == ([centre], [second])
        own = of_agent(opened, first)
        with pytest.raises(Forbidden):
            await own("daa_communication", {**words, "from": "second"})
        with pytest.raises(Forbidden):
            await own("agent_inbox", {"agentId": second})
        mine = await own("agent_message", {"agentId": centre, "message": "hello"})
        assert (mine["from"], mine["external"]) == (first, False)
        assert (await own("agent_inbox", {"agentId": first}))["messages"] == []
        with pytest.raises(Forbidden):
            await Tools(opened, role=Role.VIEWER)("agent_inbox", {"agentId": first})

    with_core(settings_in(tmp_path), use)


def test_who_or_what_is_off_is_said_and_nothing_is_sent(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened)
        reader = await agent(swarm, "reader")
        for given, error in (
            ({"to": "nobody", "message": {}}, UnknownAgent),
            ({"to": "type:poet", "message": {}}, Refused),
            ({"to": "topic:a.*", "message": {}}, Refused),
            ({"to": "all", "message": "no object"}, UsageError),
            ({"to": "all"}, UsageError),
        ):
            with pytest.raises(error):
                await tools("daa_communication", given)
        for given, error in (
            ({"agentId": "nobody", "message": 1}, UnknownAgent),
            ({"agentId": reader, "message": 1, "ttl": 0}, UsageError),
            ({"agentId": reader, "message": 1, "timeout": 601}, UsageError),
        ):
            with pytest.raises(error):
                await tools("agent_message", given)
        with pytest.raises(UsageError):
            await tools("agent_inbox", {"agentId": reader, "limit": 0})
        assert swarm.state.mail.number == 0

    with_core(settings_in(tmp_path), use)


def test_dead_letters_of_an_agent_that_was_ended_are_shown_by_its_id_and_name(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened)
        mute = await agent(swarm, "mute")
        told = await tools("agent_message", {"agentId": "mute", "message": {"text": "hello"}})
        assert told["delivered"] == [mute]
        await tools("agent_terminate", {"agentId": "mute"})
        await until(lambda: mute not in swarm.state.agents)
        for word in (mute, "mute"):
            dead = await tools("agent_inbox", {"agentId": word, "dead": True})
            (letter,) = dead["messages"]
            assert (dead["agentId"], dead["waiting"]) == (mute, 0)
            assert (letter["content"], letter["reason"]) == ({"text": "hello"}, "agent_gone")
            left = await tools(
                "agent_inbox", {"agentId": word, "acknowledge": [letter["deliveryId"]]}
            )
            assert (left["messages"], left["waiting"], left["acknowledged"]) == ([], 0, [])
        with pytest.raises(Forbidden):
            await of_agent(opened, "agent_other")("agent_inbox", {"agentId": mute, "dead": True})
        with pytest.raises(UnknownAgent):
            await tools("agent_inbox", {"agentId": "nobody", "dead": True})
        # The name is that of whoever bears it now.
        heir = await agent(swarm, "mute")
        dead = await tools("agent_inbox", {"agentId": "mute", "dead": True})
        assert (dead["agentId"], dead["messages"]) == (heir, [])
        await tools("swarm_destroy", {"swarmId": swarm.id})
        with pytest.raises(UnknownSwarm, match="is over"):
            await tools("agent_inbox", {"agentId": mute, "dead": True, "swarmId": swarm.id})

    with_core(settings_in(tmp_path), use)


def test_an_inbox_that_is_full_refuses_with_a_time_to_ask_again(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened)
        reader = await agent(swarm, "reader")
        given = {"agentId": reader, "message": "x" * 60_000}
        with pytest.raises(InboxFull) as full:
            for _ in range(100):
                await tools("agent_message", given)
        assert full.value.retry_after_ms == 1_000
        told = await tools("agent_inbox", {"agentId": reader, "limit": 2})
        assert len(told["messages"]) == 2 and told["waiting"] == len(
            swarm.state.mail.inboxes[reader].deliveries
        )

    with_core(settings_in(tmp_path), use)


def test_a_client_that_goes_away_does_not_hold_up_its_request(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await swarm_of(opened)
        reader = await agent(swarm, "reader")
        given = {"agentId": reader, "message": {"n": 1}, "timeout": 300}
        asking = asyncio.ensure_future(tools("agent_message", given))
        await until(lambda: bool(swarm.state.mail.requests))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asking, PATIENCE_S)
        (message,) = (await tools("agent_inbox", {"agentId": reader}))["messages"]
        assert message["type"] == DIRECT and message["content"] == {"n": 1}

    with_core(settings_in(tmp_path), use)

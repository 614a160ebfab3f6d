"""Whatever a message says, each request gets exactly one answer, and it is JSON with its id."""

import asyncio
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.wire_rig import Rig
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.wire.desk import Desk
from visionflow.interfaces.wire.dispatch import Conversation
from visionflow.interfaces.wire.pending import METHODS
from visionflow.settings.server import ServerSettings

TOOLS = ("echo", "note", "unsettled", "refuse", "limit", "fail", "listing", "nothing", "wat", "")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
META = st.fixed_dictionaries(
    {},
    optional={
        "progressToken": ANYTHING,
        "visionflow/idempotencyKey": ANYTHING,
        "visionflow/token": ANYTHING,
        "visionflow/client": ANYTHING,
        "visionflow/lineBytesMax": ANYTHING,
    },
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text() | ANYTHING,
        "size": st.integers(0, 20_000) | ANYTHING,
        "idempotencyKey": st.text() | ANYTHING,
        "other": ANYTHING,
    },
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(TOOLS) | ANYTHING,
        "arguments": ARGUMENTS | ANYTHING,
        "_meta": META | ANYTHING,
        "cursor": ANYTHING,
        "uri": st.just("visionflow://reply/1") | ANYTHING,
        "token": ANYTHING,
        "requestId": ANYTHING,
        "protocolVersion": ANYTHING,
        "clientInfo": ANYTHING,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(0, 5) | st.text(max_size=3) | st.none()},
    optional={
        "method": st.sampled_from((*METHODS, "tools/call", "notifications/cancelled", "x"))
        | ANYTHING,
        "params": PARAMS | ANYTHING,
    },
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """`fail` fails in a way that is logged."""
    caplog.set_level(logging.CRITICAL, "visionflow.wire")


def test_each_request_gets_exactly_one_answer() -> None:
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as home:

        @settings(max_examples=300)
        @given(st.lists(MESSAGES, min_size=1, max_size=4), st.booleans())
        def try_one(messages: list[dict[str, Any]], batch: bool) -> None:
            runner.run(asyncio.wait_for(_said(Path(home), messages, batch), 20))

        try_one()


async def _said(home: Path, messages: list[dict[str, Any]], batch: bool) -> None:
    rig = Rig(home, ServerSettings(home=str(home)))
    desk = Desk(rig.registry, rig.gate, depth_max=64, version="1")
    answers: list[bytes] = []

    def send(answer: bytes | None) -> None:
        if answer is not None:
            answers.append(answer)

    session = await rig.gate.connect(Peer(), "tcp")
    conversation = Conversation(desk, session, send, room=65_535, tell=lambda _: None)
    for line in [messages] if batch else messages:
        conversation.hear(json.dumps(line).encode())
    while conversation.due:
        await asyncio.sleep(0)
    told = [json.loads(each) for each in answers]
    if batch:
        assert len(told) == 1
        told = told[0]
    assert all(len(each) < 65_536 for each in answers)
    assert all(("result" in each) != ("error" in each) for each in told)
    ids = sorted(json.dumps(each["id"]) for each in told)
    assert ids == sorted(json.dumps(each["id"]) for each in messages)
    await desk.aclose()
    rig.gate.close()

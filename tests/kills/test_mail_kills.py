"""kill -9 of an orchestrator between messages: an inbox holds all that was said to be in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.rogues import events_of
from visionflow import AgentOrchestrator
from visionflow.domain import mail_events as me

LINES = (9, 40, 23)
"""So many lines are waited for until each kill."""
ROOT = Path(__file__).parents[2]


def killed(store: Path, number: int, lines: int) -> list[list[str]]:
    """What a round said until it was killed."""
    command = [sys.executable, "-m", "tests.kills.killed_mail", str(store), str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    said: list[list[str]] = []
    with process.stdout:
        for line in process.stdout:
            said.append(line.split())
            if len(said) == lines:
                os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    return said


@pytest.mark.acceptance("bus")
def test_an_inbox_survives_kills_of_its_orchestrator_with_all_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    store, sent, taken = tmp_path / "store", dict[str, tuple[int, int]](), list[str]()
    for number, lines in enumerate(LINES):
        for what, *told in killed(store, number, lines):
            if what == "sent":
                sent[told[0]] = (int(told[1]), int(told[2]))
            elif what == "taken":
                taken.append(told[0])
    with AgentOrchestrator(store) as fleet:
        (reader,) = fleet.agents()
        waiting = fleet.inbox(reader.id, 1_000)
    in_log = [x.letter.id for x in events_of(store) if isinstance(x, me.MailSent)]
    counted = [n for x in events_of(store) if isinstance(x, me.MailTaken) for n in x.deliveries]
    assert len(in_log) == len(set(in_log)) and set(sent) <= set(in_log)
    assert len(counted) == len(set(counted)) >= len(taken)
    found = [message.message_id for message in waiting]
    assert found == in_log[len(counted) :], "the first are taken, the others wait in their order"
    assert not set(taken) & set(found) and set(sent) - set(taken) <= {*found, *in_log}
    contents = [tuple(message.content.values()) for message in waiting]
    assert contents == sorted(contents)
    assert all(sent.get(m.message_id, tuple(m.content.values())) for m in waiting)

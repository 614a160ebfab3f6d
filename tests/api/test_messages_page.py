"""What docs/messages.md shows is what happens, and its numbers are those that the code has."""

import re
from typing import Any

import pytest

from tests.api import docs_messages
from visionflow import AgentOrchestrator, Task
from visionflow.agents.messages import EVENTS
from visionflow.domain import limits
from visionflow.domain.mail import DeadReason
from visionflow.worker.mailbox import HANDLER_S

PAGE = docs_messages.PAGE.read_text(encoding="utf-8")

pytestmark = pytest.mark.acceptance("bus")


def run(sample: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What a sample of the page prints."""
    scope: dict[str, Any] = {"AgentOrchestrator": AgentOrchestrator, "Task": Task}
    scope |= {name: getattr(docs_messages, name) for name in ("Author", "Reader")}
    exec(compile(docs_messages.SAMPLES[sample], str(docs_messages.PAGE), "exec"), scope)
    return capsys.readouterr().out


def test_the_first_sample_sends_and_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(1, capsys) == "read 1, the last: hello\n"


def test_the_sample_from_outside_asks_and_finds_nothing_dead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(3, capsys) == "read 1, the last: from outside\n[]\n"


def test_the_model_of_the_page_can_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(2, capsys) == ""


def test_the_numbers_and_words_of_the_page_are_those_of_the_code() -> None:
    assert f"longer than {HANDLER_S:g} s" in PAGE
    assert f"holds {limits.INBOX_MAX:,} messages, and" in PAGE
    assert f"{limits.INBOX_BYTES_MAX >> 20} MiB of contents" in PAGE
    assert f"last {limits.DEAD_LETTERS_MAX:,} are kept" in PAGE
    assert limits.MAIL_FAILURES_MAX == 3 and "three times in all" in PAGE
    assert limits.MAIL_TTL_MS == 3_600_000 and "after an hour" in PAGE
    assert all(f"`{reason}`" in PAGE for reason in DeadReason)
    told = re.findall(r"`((?:task|agent|error)\.\w+)`", PAGE)
    assert set(told) == set(EVENTS)

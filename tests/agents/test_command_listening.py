"""What is shown of a tool while it works."""

import json
from pathlib import Path

import pytest

from visionflow.agents.command import listening
from visionflow.agents.command.hiding import Hiding
from visionflow.agents.command.listening import Listener, Log
from visionflow.agents.command.reading_claude import ClaudeReader

pytestmark = pytest.mark.acceptance("detect")


def call(command: str) -> bytes:
    block = {"type": "tool_use", "name": "Bash", "input": {"command": command}}
    return json.dumps({"type": "assistant", "message": {"content": [block]}}).encode() + b"\n"


def test_the_same_call_again_is_shown_again_and_a_result_in_between_is_not_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, shown = [0.0], list[str]()
    monkeypatch.setattr(listening.time, "monotonic", lambda: now[0])
    listener = Listener(
        ClaudeReader(), Hiding(()), Log(tmp_path / "log", 10**6), show=shown.append,
        on_heard=lambda: None,
    )  # fmt: skip
    for _ in range(3):
        now[0] += 2
        listener("stdout", call("pytest"))
        now[0] += 2
        listener("stdout", b'{"type": "user", "message": {"content": []}}\n')
    assert len(shown) == 3 and len(set(shown)) == 1
    assert "pytest" in shown[0]
    listener("stdout", call("pytest"))
    listener("stdout", call("pytest"))
    assert len(shown) == 4, "at most one a second"

"""Results as tables: what there is room for, with ids that can be copied."""

import sys
from typing import Any

import pytest

from visionflow.cli import showing

SWARM, AGENT, TASK = (
    f"{kind}_1795869384100_08z9dvyx1" for kind in ("swarm", "agent", "task")
)  # fmt: skip
SWARMS: list[dict[str, Any]] = [
    {
        "swarmId": SWARM, "name": "audit of everything", "topology": "hierarchical",
        "strategy": "adaptive", "status": "active", "reason": None, "agents": 3, "maxAgents": 10,
        "openTasks": 12,
    }
]  # fmt: skip
AGENTS: list[dict[str, Any]] = [
    {
        "id": AGENT, "type": "coordinator", "name": AGENT, "status": "processing",
        "currentTask": f"{TASK}.12", "pid": 12345,
    }
]  # fmt: skip


def shown(result: dict[str, Any], width: int, patched: pytest.MonkeyPatch, told: Any) -> list[str]:
    patched.setenv("COLUMNS", str(width))
    patched.setattr(showing, "is_terminal", lambda stream: stream is sys.stdout)
    showing.show(result, as_json=False)
    return told.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_ids_are_whole_and_each_row_is_one_line(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rows, ids in ((SWARMS, [SWARM]), (AGENTS, [AGENT])):
        lines = shown({"rows": rows}, width, monkeypatch, capsys)
        for each in ids:
            assert sum(each in line for line in lines) == 1
        table = [line for line in lines if not line.startswith("  Also")]
        assert max(map(len, table)) <= width
        left_out = " ".join(lines).partition("Also there, with --json:")[2]
        for name in rows[0]:
            equal = name == "name" and rows is AGENTS
            there = name in lines[2] or name in left_out
            assert there or equal or rows[0][name] is None, (name, lines)


def test_what_has_room_is_all_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown({"rows": AGENTS}, 200, monkeypatch, capsys)
    assert f"{TASK}.12" in "".join(lines) and "12345" in "".join(lines)
    assert "Also there" not in "".join(lines)


def test_figures_are_rounded_for_a_person_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gain, rows = 0.821422704123542, [{"name": "star", "seconds": 12.345678901, "share": 1 / 3}]
    lines = shown(
        {"gain": gain, "rows": rows, "plan": {"per": [0.1 + 0.2, {"x": 1e6 + 1 / 3}]}},
        100, monkeypatch, capsys,
    )  # fmt: skip
    told = "\n".join(lines)
    assert "gain  0.821\n" in told and "12.346" in told and "0.333" in told
    assert 'per: [0.3,{"x":1000000.333}]' in told

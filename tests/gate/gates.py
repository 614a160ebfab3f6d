"""Whole gates over real repositories, of code that tests wrote; test_command has them confined."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.agents.unconfined import UnconfinedSandbox
from visionflow.agents.gate.results import GateResult
from visionflow.compose.gate.request import GateRequest
from visionflow.compose.gate.running import run_gate

GATE_S_MAX = 120
QUICK = "[pytest]\naddopts = -p no:hypothesispytest\n"
SHOP = {
    "pytest.ini": QUICK,
    "shop/__init__.py": "",
    "shop/core.py": "def price(x):\n    return x + 1\n\n\ndef old(x):\n    return eval(x)\n",
    "tests/test_core.py": (
        "from shop.core import old, price\n\n\n"
        "def test_price():\n    assert price(1) == 2\n\n\n"
        "def test_old():\n    assert old('1') == 1\n"
    ),
}
"""Clean but for a known call of eval, all of it tested."""
_SANDBOX = UnconfinedSandbox()


def gate(workspace: Path, home: Path, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> GateResult:
    """A gate whose state lives in `home`; without tests where nothing else is asked for."""
    monkeypatch.setenv("VISIONFLOW_HOME", str(home))
    request = GateRequest(workspace=workspace, **{"tests": "none", **asked})
    return asyncio.run(asyncio.wait_for(run_gate(request, _SANDBOX), GATE_S_MAX))


def rules(result: GateResult) -> list[tuple[str, int, str]]:
    """(path, line, rule) of what is new."""
    return [(each.path, each.line, each.rule) for each in result.findings.new]

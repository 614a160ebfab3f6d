"""The tester's settings: each changes what it does, or says in a warning that it does not."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tool_projects import QUICK, write
from unconfined import UnconfinedSandbox

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import PermanentFailure, TesterAgent
from visionflow.agents.base import AgentContext, current_attempt
from visionflow.agents.roles.job import restored
from visionflow.agents.roles.tester import TesterSettings, coverage_gate, measures, settings_of
from visionflow.agents.task import Task
from visionflow.agents.tools.results import TestRun

_HALF: dict[str, str | bytes] = {
    "pytest.ini": QUICK, "mod.py": "def f():\n    return 1\n\n\ndef g():\n    return 2\n",
    "tests/test_a.py": "import mod\ndef test_f(): assert mod.f() == 1\n",
    "tests/e2e/test_b.py": "import unittest\nclass B(unittest.TestCase):\n"
    "    def test_bad(self): assert 0\n",
}  # fmt: skip


class _Now:
    """An attempt that only runs its steps."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def step(self, name: str, call: Any, args: tuple[Any, ...], workspace: Any) -> Any:
        self.ran.append(name)
        value = await call(*args) if asyncio.iscoroutinefunction(call) else call(*args)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))

    def progress(self, fraction: float | None, note: str) -> None: ...


def _tester(folder: Path, config: dict[str, Any]) -> TesterAgent:
    def log(level: str, text: str) -> None: ...

    context = AgentContext(
        folder=folder, blobs=MemoryBlobs(), open_sandbox=UnconfinedSandbox, write_log=log
    )
    return TesterAgent("t", "t", "tester", config, context)


def _work(tmp_path: Path, config: dict[str, Any]) -> tuple[dict[str, Any], TestRun, list[str]]:
    workspace = write(tmp_path / "ws", _HALF)
    attempt = _Now()
    mark = current_attempt.set(attempt)  # pyright: ignore[reportArgumentType]
    task = Task(id="t", type="run_tests", input={"workspace": str(workspace)})
    try:
        result = asyncio.run(_tester(tmp_path / "own", config).process_task(task))
    finally:
        current_attempt.reset(mark)
    return result, restored(result["tests"], TestRun), attempt.ran


def _warnings(tmp_path: Path, config: dict[str, Any]) -> tuple[str, ...]:
    return settings_of(_tester(tmp_path, config))[1]


def test_test_types_and_threshold_change_what_is_run_and_told(tmp_path: Path) -> None:
    config = {"test_types": ["unit"], "coverage_threshold": 0.75}
    result, run, steps = _work(tmp_path, config)
    assert (run.outcome, list(run.outcomes)) == ("passed", ["tests/test_a.py::test_f"])
    assert run.notes[-1] != "" and any("e2e tests" in note for note in run.notes)
    assert (result["coverage_gate"], result["warnings"]) == (True, [])
    assert result["measures"] == {"coverage": 0.75, "pass_rate": 1.0}
    assert steps == ["prepare worktree", "look at the project", "run tests"]


def test_test_framework_and_reruns_change_what_is_run(tmp_path: Path) -> None:
    config = {"test_framework": "unittest", "reruns": 0, "coverage_threshold": 0.9}
    result, run, steps = _work(tmp_path, config)
    assert (run.outcome, list(run.outcomes)) == ("failed", ["tests/e2e/test_b.py::B::test_bad"])
    assert result["coverage_gate"] is False
    assert result["measures"]["pass_rate"] == 0.0
    assert steps[-1] == "run tests"


def test_failures_are_run_again_in_a_step_of_their_own_by_default(tmp_path: Path) -> None:
    result, run, steps = _work(tmp_path, {})
    assert (run.outcome, run.flaky) == ("failed", ())
    assert steps[-1] == "run failures again"
    assert result["coverage_gate"] is None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"parallel_execution": True}, "parallel_execution has no effect"),
        ({"test_types": ["unit", "fuzz"]}, "'fuzz' is no kind of test here"),
        ({"test_framework": "jest"}, "'jest' is not run here, pytest is used"),
        ({"coverage_treshold": 0.8}, "did you mean 'coverage_threshold'?"),
    ],
)
def test_what_has_no_effect_stands_in_the_warnings(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    (warning,) = _warnings(tmp_path, config)
    assert warning.startswith("tester: ")
    assert said in warning


@pytest.mark.parametrize(
    "config",
    [
        {"coverage_threshold": 80}, {"coverage_threshold": -0.1}, {"reruns": -1},
        {"reruns": 1_000}, {"test_types": "unit"}, {"test_framework": 3},
    ],
)  # fmt: skip
def test_a_setting_of_the_wrong_kind_fails_for_good_and_is_named(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    (key,) = config
    with pytest.raises(PermanentFailure, match=key):
        _warnings(tmp_path, config)


def test_every_setting_says_its_effect() -> None:
    assert set(TesterSettings.EFFECTS) == set(TesterSettings.__struct_fields__)
    assert not set(TesterSettings.UNUSED) & set(TesterSettings.EFFECTS)


@pytest.mark.parametrize(
    ("coverage", "threshold", "gate"),
    [(80.0, 0.8, True), (79.99, 0.8, False), (None, 0.8, None), (80.0, None, None), (0.0, 0, True)],
)
def test_the_coverage_gate_is_a_formula(
    coverage: float | None, threshold: float | None, gate: bool | None
) -> None:
    assert coverage_gate(TestRun("passed", coverage=coverage), threshold) is gate


def test_what_is_not_known_is_no_measure() -> None:
    assert measures(TestRun("no_tests")) == {"coverage": None, "pass_rate": None}

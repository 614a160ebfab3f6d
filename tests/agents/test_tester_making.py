"""Tests that are made: they pass on the code they were made from, and fail on another."""

import ast
import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tool_projects import QUICK, suite_of, write
from unconfined import UnconfinedSandbox

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import PermanentFailure, TesterAgent
from visionflow.agents.base import AgentContext, current_attempt
from visionflow.agents.study.characterising import TestFile, TestSuite
from visionflow.agents.task import Task

_CODE = '''
import random, time

def price(amount: int, member: bool = False) -> int:
    if amount < 0:
        raise ValueError(amount)
    return amount * 90 // 100 if member else amount

def split(text: str):
    """Unsure of its types, sure of what it does."""
    return text.split(",")

def dice() -> float:
    return random.random()

def counted(limit: int):
    for number in range(limit):
        yield number

def opaque():
    return object()

def _inner(x: int) -> int:
    return x
'''
_FILES: dict[str, str | bytes] = {
    "pytest.ini": QUICK, "shop/__init__.py": "", "shop/sums.py": _CODE,
    "tests/test_shop.py": "def test_nothing(): pass\n",
}  # fmt: skip


class _Now:
    """An attempt that only runs its steps."""

    async def step(self, name: str, call: Any, args: tuple[Any, ...], workspace: Any) -> Any:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(await call(*args)))

    def progress(self, fraction: float | None, note: str) -> None: ...


def _tester(folder: Path) -> TesterAgent:
    def log(level: str, text: str) -> None: ...

    context = AgentContext(
        folder=folder, blobs=MemoryBlobs(), open_sandbox=UnconfinedSandbox, write_log=log
    )
    return TesterAgent("t", "t", "tester", {}, context)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "ws", _FILES)


@pytest.fixture(scope="module")
def suite(workspace: Path) -> TestSuite:
    tester = _tester(workspace.parent / "own")
    return asyncio.run(tester.generate_test_suite(str(workspace)))


def test_functions_with_a_sure_outcome_are_pinned_and_the_others_are_named(
    suite: TestSuite,
) -> None:
    (file,) = suite.unit
    assert (file.path, file.module) == ("tests/test_present_shop_sums.py", "shop.sums")
    assert file.functions == ("price", "split")
    assert sorted(name for name, _ in file.left_out) == ["counted", "dice", "opaque"]
    assert dict(file.left_out)["dice"] == "it does not do the same twice"
    ast.parse(file.text)
    assert '(lambda: module.price(-1, False), ("raises", "ValueError"))' in file.text
    assert '(lambda: module.price(100, True), ("int", 90))' in file.text


def test_what_cannot_be_made_is_empty_and_says_why(suite: TestSuite) -> None:
    assert (suite.integration, suite.e2e) == ((), ())
    assert [note.partition(" were made")[0] for note in suite.notes[1:]] == [
        "no integration tests", "no end-to-end tests",
    ]  # fmt: skip
    assert suite.coverage is not None
    assert 0.5 < suite.coverage < 1


def test_made_tests_pass_on_the_code_and_fail_on_a_changed_one(
    suite: TestSuite, tmp_path: Path
) -> None:
    made = {file.path: file.text for file in suite.unit}
    (file,) = suite.unit
    same = suite_of(write(tmp_path / "same", {**_FILES, **made}), tmp_path / "1")
    assert (same.outcome, same.counts.passed) == ("passed", file.cases + 1)
    changed = {**_FILES, **made, "shop/sums.py": _CODE.replace("* 90 //", "* 91 //")}
    other = suite_of(write(tmp_path / "other", changed), tmp_path / "2")
    assert other.outcome == "failed"
    assert {case.id.partition("[")[0] for case in other.cases} == {
        "tests/test_present_shop_sums.py::test_price"
    }


def test_making_them_again_gives_the_same_and_leaves_the_workspace_alone(
    suite: TestSuite, workspace: Path, tmp_path: Path
) -> None:
    before = sorted(path.relative_to(workspace) for path in workspace.rglob("*"))
    mark = current_attempt.set(_Now())  # pyright: ignore[reportArgumentType]
    task = Task(id="m", type="generate_tests", input={"workspace": str(workspace)})
    try:
        result = asyncio.run(_tester(tmp_path).process_task(task))
    finally:
        current_attempt.reset(mark)
    assert result["coverage"] == suite.coverage
    assert [msgspec.convert({**each, "workspace": str(workspace)}, TestFile)
            for each in result["unit"]] == list(suite.unit)  # fmt: skip
    assert str(workspace) not in str(result)
    assert before == sorted(path.relative_to(workspace) for path in workspace.rglob("*"))


def test_what_names_no_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="missing required field `workspace`"):
        asyncio.run(_tester(tmp_path).generate_test_suite({}))


def test_a_project_without_tests_gets_its_first(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", {"mod.py": "def f(x: int) -> int:\n    return x + 1\n"})
    (file,) = asyncio.run(_tester(tmp_path / "own").generate_unit_tests(str(workspace)))
    assert (file.path, file.functions) == ("tests/test_present_mod.py", ("f",))

"""Tests that pin what a project's functions do today: made by calling them, without a model.

Functions of the project's modules are called, confined, with a fixed corpus of values; what they
return or raise becomes a pytest file for each module. Only what a test can check for certain is
taken: the same outcome twice, arguments and values that Python reads back as they were written, and
tests that pass when they are run. They say nothing of whether the code is right.
"""

import ast
import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.study.facts import read_facts
from visionflow.agents.tools.behaviour import BehaviourRequest, call_functions, module_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.selecting import TEST_KINDS
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.tools.text import write_whole
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

CASES_MAX = 12
"""Of each function."""
FUNCTIONS_MAX = 300
_SHOWN_MAX = 160
"""What is as long as this was cut."""
_NAME = "test_present_"

Call = tuple[str, str, str]
"""(arguments, `value` or `raised`, what), each as Python writes it."""


class TestFile(msgspec.Struct, frozen=True):
    """One file of tests that were made."""

    __test__ = False

    path: str
    """Where it belongs, relative to the workspace."""
    text: str
    module: str
    functions: tuple[str, ...]
    cases: int
    left_out: tuple[tuple[str, str], ...] = ()
    """(function, why) of those of the module that it says nothing of."""
    workspace: str = ""


class TestSuite(msgspec.Struct, frozen=True):
    """What was made for a workspace, by kind."""

    __test__ = False

    unit: tuple[TestFile, ...] = ()
    integration: tuple[TestFile, ...] = ()
    e2e: tuple[TestFile, ...] = ()
    coverage: float | None = None
    """Share of the project's lines that these tests run, 0 to 1."""
    notes: tuple[str, ...] = ()


async def make_tests(
    sandbox: Sandbox, project: Project, suite: SuiteRequest
) -> tuple[TestFile, ...]:
    """Tests of the present behaviour of `project`, whose copy is `suite.worktree`.

    They are written there and run; `suite.scratch` is ours.

    Raises:
        ConfinementUnavailable, CommandNotStarted: foreign code cannot be run here.
    """
    functions = await _functions(sandbox, project, suite)
    modules = sorted((module, sorted(names)) for module, (_, names) in functions.items())
    request = BehaviourRequest(
        worktree=suite.worktree, workspace=suite.workspace, project=project,
        scratch=str(Path(suite.scratch, "calls")), virtual_env=suite.virtual_env,
        trusted=suite.trusted,
    )  # fmt: skip
    first = await call_functions(sandbox, request, modules)
    again = await call_functions(sandbox, request, modules)
    drafts: list[_Draft] = []
    for module, names in modules:
        draft = _Draft(module, _place(project, module), {}, {})
        for name in names:
            key = f"{module}:{name}"
            told = _pinned(first.get(key, "it was not reached"), again.get(key))
            if isinstance(told, str):
                draft.left_out[name] = told
            else:
                draft.cases[name] = told
        drafts.append(draft)
    return await _kept(sandbox, project, suite, drafts)


async def run_made(
    sandbox: Sandbox, project: Project, suite: SuiteRequest, files: Iterable[TestFile]
) -> TestRun:
    """Run tests that were made, and no others, in `suite.worktree`, where they are written to."""
    listed = sorted(files, key=lambda file: file.path)
    await asyncio.to_thread(_write, suite.worktree, listed)
    request = msgspec.structs.replace(
        suite, selection=tuple(file.path for file in listed), kinds=TEST_KINDS, framework="pytest"
    )
    # A project that has no tests yet has these now.
    tests = {*project.test_files, *(file.path for file in listed)}
    style = "pytest" if project.style == "none" else project.style
    tested = msgspec.structs.replace(project, test_files=tuple(sorted(tests)), style=style)
    return await run_tests(sandbox, tested, request)


def _write(worktree: str, files: Iterable[TestFile]) -> None:
    for file in files:
        target = Path(worktree, file.path)
        folder = os.path.realpath(target.parent)
        if os.path.commonpath((folder, os.path.realpath(worktree))) == os.path.realpath(worktree):
            write_whole(target, file.text.encode())


async def _functions(
    sandbox: Sandbox, project: Project, suite: SuiteRequest
) -> dict[str, tuple[str, list[str]]]:
    """By module, its file and its public functions."""
    measured = tuple(path for path in project.tree.python if _is_measured(path, project))
    scan = ScanRequest(
        suite.worktree, measured, (), str(Path(suite.scratch, "facts")), trusted=suite.trusted
    )
    facts = await read_facts(sandbox, scan, ResultCache(None))
    found: dict[str, tuple[str, list[str]]] = {}
    room = FUNCTIONS_MAX
    for path, file in facts.files.items():
        module = module_of(path, project.import_roots)
        names = sorted({
            each.name for each in file.definitions
            if each.kind == "function" and each.name.isidentifier() and each.name[0] != "_"
        })[:room]  # fmt: skip
        if module is not None and names and not any(map(iskeyword, module.split("."))):
            found[module] = (path, names)
            room -= len(names)
    return found


def _is_measured(path: str, project: Project) -> bool:
    if not path.endswith(".py") or is_test_path(path):
        return False
    own = any(path.startswith(f"{package}/") for package in project.packages)
    return own or module_of(path, project.import_roots) in project.modules


def _place(project: Project, module: str) -> str:
    """Beside the project's own tests, so that its settings find it."""
    folders = {path.rpartition("/")[0] for path in project.test_files}
    folder = min(folders, key=lambda each: (each.count("/"), each), default="tests")
    return f"{folder}/{_NAME}{module.replace('.', '_')}.py".lstrip("/")


def _pinned(first: list[list[Any]] | str, again: list[list[Any]] | str | None) -> list[Call] | str:
    """The calls whose outcome a test can check, or why there is none."""
    if isinstance(first, str):
        return first
    if not isinstance(again, list) or [call[3] for call in first] != [call[3] for call in again]:
        return "it does not do the same twice"
    calls: dict[str, Call] = {}
    for words, kind, what, _, fits in first:
        whole = len(str(words)) < _SHOWN_MAX and len(str(what)) < _SHOWN_MAX
        if fits and whole and _is_call(str(words)) and _is_outcome(str(kind), str(what)):
            calls.setdefault(str(words), (str(words), str(kind), str(what)))
    if not calls:
        return "no call of it has an outcome that a test can hold"
    return list(calls.values())[:CASES_MAX]


def _is_call(words: str) -> bool:
    """Whether these arguments are literals: what foreign code told must not become code."""
    try:
        call = ast.parse(f"f({words})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return False
        for each in (*call.args, *(keyword.value for keyword in call.keywords)):
            ast.literal_eval(each)
        return all(keyword.arg is not None for keyword in call.keywords)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def _is_outcome(kind: str, what: str) -> bool:
    if kind == "raised":
        return what.isidentifier()
    try:
        value = ast.literal_eval(what)
        return bool(value == ast.literal_eval(repr(value)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


class _Draft(msgspec.Struct):
    """A file that is being made."""

    module: str
    path: str
    cases: dict[str, list[Call]]
    left_out: dict[str, str]

    def file(self, workspace: str) -> TestFile:
        functions = tuple(sorted(self.cases))
        return TestFile(
            self.path, _text(self.module, self.cases), self.module, functions,
            sum(map(len, self.cases.values())), tuple(sorted(self.left_out.items())), workspace,
        )  # fmt: skip


async def _kept(
    sandbox: Sandbox, project: Project, suite: SuiteRequest, drafts: Sequence[_Draft]
) -> tuple[TestFile, ...]:
    """The files with only those cases that pass."""
    files = [draft.file(suite.workspace) for draft in drafts if draft.cases]
    if not files:
        return ()
    tried = msgspec.structs.replace(suite, measure=False)
    run = await run_made(sandbox, project, tried, files)
    for draft in drafts:
        for name, calls in sorted(draft.cases.items()):
            good = [
                call
                for number, call in enumerate(calls)
                if run.outcomes.get(f"{draft.path}::{_test(name, number)}") == "passed"
            ]
            if good:
                draft.cases[name] = good
            else:
                del draft.cases[name]
                draft.left_out[name] = "a test of it does not pass where the project's tests run"
    await asyncio.to_thread(_remove, suite.worktree, files)
    kept = (draft.file(suite.workspace) for draft in drafts if draft.cases)
    return tuple(sorted(kept, key=lambda file: file.path))


def _remove(worktree: str, files: Iterable[TestFile]) -> None:
    for file in files:
        Path(worktree, file.path).unlink(missing_ok=True)


def _test(name: str, number: int) -> str:
    return f"test_{name}[{number}]"


def _text(module: str, cases: Mapping[str, list[Call]]) -> str:
    """The file: a table of calls for each function, and one test that goes through it."""
    lines = [
        f'"""What functions of `{module}` do today, as it was recorded by calling them.',
        "",
        "These tests were made by VisionFlow. They do not say that it is right: one that fails",
        "says that something does something else now.",
        '"""',
        "",
        "import pytest",
        "",
        f"import {module} as module",
        "",
        "",
        "def outcome(call):",
        "    try:",
        "        value = call()",
        "    except BaseException as error:",
        '        return "raises", type(error).__name__',
        "    return type(value).__name__, value",
    ]
    for name, calls in sorted(cases.items()):
        lines += ["", "", "@pytest.mark.parametrize(", '    ("call", "expected"),', "    ["]
        for words, kind, what in calls:
            expected = f'"raises", "{what}"' if kind == "raised" else f"{_type_of(what)}, {what}"
            lines.append(f"        (lambda: module.{name}({words}), ({expected})),")
        lines += [
            "    ],",
            f"    ids=[{', '.join(repr(str(number)) for number in range(len(calls)))}],",
            ")",
            f"def test_{name}(call, expected):",
            "    assert outcome(call) == expected",
        ]
    return "\n".join(lines) + "\n"


def _type_of(what: str) -> str:
    return f'"{type(ast.literal_eval(what)).__name__}"'

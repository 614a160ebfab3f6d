"""Whether a change alters what functions do: compiled code first, then calls with a fixed corpus.

What compiles to the same behaves the same, and nothing of it is run. Of the rest, functions that
the corpus has values for are called in both versions, confined, and their outcomes compared.
What cannot be told is said to be so; methods, and functions of types that the corpus has nothing
of, are among that. The programs that parse and call are in `agents.inside`.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.agents.tools.codes import RESTARTS_MAX, FileCode, InsideProgram, emptied
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.text import one_line
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

FUNCTIONS_MAX = 300
LOAD_SECONDS = 30
_RUNS_WHEN_IMPORTED = ("__main__.py", "setup.py")
_NOT_ALONE = "its module cannot be imported by itself"
_LATE = "a call took longer"
Side = Literal["before", "after"]
Put = Callable[[Side], Awaitable[None]]


class Difference(msgspec.Struct, frozen=True):
    """A function that does something else now, and one call that shows it."""

    path: str
    function: str
    call: str
    before: str
    after: str


class Behaviour(msgspec.Struct, frozen=True):
    """What could be told of a change. Names read `path:function`, sorted."""

    same_code: bool
    """Every changed file compiles to what it did, so nothing had to be called."""
    changed: tuple[str, ...] = ()
    """Functions that may do something else, by their code or by that of their module."""
    compared: tuple[str, ...] = ()
    calls: int = 0
    """In each version."""
    differing: tuple[Difference, ...] = ()
    not_comparable: tuple[tuple[str, str], ...] = ()
    """(name, why)."""


class BehaviourRequest(msgspec.Struct, frozen=True):
    """Where functions are called, and the bounds. Paths are absolute."""

    worktree: str
    workspace: str
    """The user's own folder, only looked at for its environment."""
    project: Project
    scratch: str
    """A folder of ours outside all of them. What an earlier attempt left there is removed."""
    virtual_env: str | None = None
    wall_ms: int = 120_000
    """For each time that functions are called."""
    trusted: bool = False


async def compare_behaviour(
    sandbox: Sandbox, request: BehaviourRequest, codes: Mapping[str, FileCode], put: Put
) -> Behaviour:
    """Call the functions that `codes` says may differ, in both versions.

    `put` makes the worktree hold the version before the change or after it: one folder holds both
    in turn, because what functions do may depend on where they are.

    Raises:
        ConfinementUnavailable, CommandNotStarted: foreign code cannot be run here.
    """
    if all(code.same for code in codes.values()):
        return Behaviour(same_code=True)
    work = _candidates(request.project, codes)
    calling = _Calling(sandbox, request)
    await put("before")
    first = await calling.run(work.modules)
    again = await calling.run(work.modules)
    await put("after")
    after = await calling.run(work.modules)
    compared: list[str] = []
    differing: list[Difference] = []
    cannot = list(work.cannot)
    calls = 0
    for key, name in sorted(work.names.items()):
        verdict = _verdict(*(each.get(key, "it was not reached") for each in (first, again, after)))
        if isinstance(verdict, str):
            cannot.append((name, verdict))
            continue
        compared.append(name)
        calls += verdict.calls
        if verdict.shown is not None:
            path, _, function = name.rpartition(":")
            differing.append(Difference(path, function, *verdict.shown))
    return Behaviour(
        False, tuple(sorted((*work.names.values(), *(name for name, _ in work.cannot)))),
        tuple(sorted(compared)), calls, tuple(differing), tuple(sorted(cannot)),
    )  # fmt: skip


class _Candidates(NamedTuple):
    """Which functions may differ, and of which of them nothing can be told from the start."""

    modules: list[tuple[str, list[str]]]
    names: dict[str, str]
    """`module:function` to `path:function`."""
    cannot: list[tuple[str, str]]


def _candidates(project: Project, codes: Mapping[str, FileCode]) -> _Candidates:
    made = _Candidates([], {}, [])
    for path, code in sorted(codes.items()):
        shown = portable_path(path)
        if code.same or is_test_path(path):
            continue
        if code.error is not None:
            made.cannot.append((shown, code.error))
            continue
        made.cannot.extend(
            (f"{shown}:{each}", "a method: nothing here makes its object") for each in code.methods
        )
        # Statements around them may matter to all functions of a module.
        functions = sorted({*code.functions, *(code.all if code.body else ())})
        module = module_of(path, project.import_roots)
        room = FUNCTIONS_MAX - len(made.names)
        if module is None or len(functions) > room:
            why = "too many of them"
            if module is None:
                stub = path.endswith(".pyi")
                why = "a stub: nothing of it is run" if stub else _NOT_ALONE
            made.cannot.extend((f"{shown}:{each}", why) for each in functions or ("module",))
        elif functions:
            made.modules.append((module, functions))
            made.names.update({f"{module}:{each}": f"{shown}:{each}" for each in functions})
        elif code.body:
            made.cannot.append((f"{shown}:module", "statements outside of functions"))
    return made


def module_of(path: str, roots: Iterable[str]) -> str | None:
    """The name under which a file is imported; `None` for one that is no module, or a program."""
    name = path.rpartition("/")[2]
    if name in _RUNS_WHEN_IMPORTED or not name.endswith(".py"):
        return None
    for root in roots:
        prefix = f"{root}/" if root else ""
        if path.startswith(prefix):
            parts = path[len(prefix) : -3].split("/")
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts and all(part.isidentifier() for part in parts):
                return ".".join(parts)
    return None


class _Verdict(NamedTuple):
    calls: int
    shown: tuple[str, str, str] | None
    """(call, before, after) of the first difference."""


_Calls = list[list[Any]]
_Outcome = _Calls | str


def _verdict(first: _Outcome, again: _Outcome, after: _Outcome) -> _Verdict | str:
    """What two calls of the old version and one of the new come to; or why nothing can be told."""
    if isinstance(first, str):
        return first
    if isinstance(again, str) or [each[3] for each in first] != [each[3] for each in again]:
        return "it does not do the same twice"
    if isinstance(after, str):
        if after.startswith(_LATE) or "wall_clock" in after:
            return after
        return _Verdict(len(first), ("", "it could be called", after))
    if [each[0] for each in first] != [each[0] for each in after]:
        return "its parameters are others now"
    if not any(each[4] for each in (*first, *after)):
        return "nothing of the corpus fits its parameters"
    for old, new in zip(first, after, strict=True):
        if old[3] != new[3]:
            return _Verdict(len(first), (str(old[0]), _told(old), _told(new)))
    return _Verdict(len(first), None)


def _told(call: list[Any]) -> str:
    return one_line(f"{'raises ' if call[1] == 'raised' else ''}{call[2]}", 160)


async def call_functions(
    sandbox: Sandbox, request: BehaviourRequest, modules: list[tuple[str, list[str]]]
) -> dict[str, _Outcome]:
    """What functions of the worktree do with the corpus, by `module:function`: of each call what
    `inside.behaviour` tells of it, or why there is none.

    Raises:
        ConfinementUnavailable, CommandNotStarted: foreign code cannot be run here.
    """
    return await _Calling(sandbox, request).run(modules)


class _Calling:
    """Calls functions of one version, beginning anew behind those that end the process."""

    def __init__(self, sandbox: Sandbox, request: BehaviourRequest) -> None:
        self._sandbox = sandbox
        self._request = request
        self._environment = choose(request.workspace, request.virtual_env)

    async def run(self, modules: list[tuple[str, list[str]]]) -> dict[str, _Outcome]:
        """Of each `module:function`, its calls, or why there are none."""
        if not modules:
            return {}
        folder = emptied(Path(os.path.realpath(self._request.scratch), "calls"))
        root = os.path.realpath(self._request.worktree)
        asked: dict[str, Any] = {
            "roots": [os.path.join(root, each).rstrip("/") for each in self._roots()],
            "modules": modules,
            "load_s": LOAD_SECONDS,
        }
        found: dict[str, _Outcome] = {}
        skip: list[str] = []
        for turn in range(RESTARTS_MAX):
            program = InsideProgram(
                self._sandbox, "behaviour", folder, self._request.trusted,
                (self._environment.python, "-s"), (root, *self._environment.read),
                self._request.wall_ms,
            )  # fmt: skip
            ran = await program.run({**asked, "skip": sorted({*found, *skip})}, turn)
            begun = _taken(ran.lines, found)
            skip += [str(line["module"]) for line in ran.lines if "module" in line]
            if begun is None:
                break
            why = f"calling it ended the process: {ran.ended}"
            if ":" in begun:
                found[begun] = why
            else:
                skip.append(begun)
                found[begun] = f"importing its module ended the process: {ran.ended}"
        return _of_functions(found, modules)

    def _roots(self) -> tuple[str, ...]:
        return self._request.project.import_roots or ("",)


def _taken(lines: list[dict[str, Any]], found: dict[str, _Outcome]) -> str | None:
    """Put what was told into `found`; what was begun and not told of."""
    begun: str | None = None
    for line in lines:
        if "begin" in line:
            begun = str(line["begin"])
        elif "function" in line or "module" in line:
            key = str(line.get("function") or line.get("module"))
            calls = line.get("calls")
            why = one_line(str(line.get("why")), 200)
            found[key] = cast("_Calls", calls) if _sound(calls) else why
            begun = None
        elif "end" in line:
            return None
    # Without any line there is nothing to leave out, and another try would end the same way.
    return begun


def _sound(calls: object) -> bool:
    """Whether foreign code left the form of our program's lines alone."""
    if not isinstance(calls, list):
        return False
    made = cast("list[object]", calls)
    return all(isinstance(each, list) and len(cast("list[Any]", each)) == 5 for each in made)


def _of_functions(
    found: dict[str, _Outcome], modules: list[tuple[str, list[str]]]
) -> dict[str, _Outcome]:
    """What was told of a module holds for all its functions."""
    told = dict(found)
    for module, names in modules:
        for name in names:
            if module in found:
                told.setdefault(f"{module}:{name}", found[module])
    return told

"""The plan of a run as a value: phases of tasks, the role of each, and the gates at its end.

`playbooks` makes plans, a person may edit one, and the job hands it to the engine. How a plan is
written to a file is the job's. Ids are fixed, so handing the same plan in again after a crash is
the same command.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator
from typing import Literal

import msgspec

from visionflow.agents.evidence import Focus, Part

Playbook = Literal["audit", "test", "fix", "explain", "code"]
PLAYBOOKS: tuple[Playbook, ...] = ("audit", "test", "fix", "explain", "code")
Role = Literal["coordinator", "researcher", "architect", "coder", "reviewer", "tester"]
ROLES: tuple[Role, ...] = (
    "coordinator", "researcher", "architect", "coder", "reviewer", "tester",
)  # fmt: skip
Gate = Literal[
    "tests", "syntax", "findings", "secrets", "cycles", "coverage", "patch", "winner", "accept",
    "landed",
]  # fmt: skip
GATES: tuple[Gate, ...] = (
    "tests", "syntax", "findings", "secrets", "cycles", "coverage", "patch", "winner", "accept",
    "landed",
)  # fmt: skip
GOAL_CHARS_MAX = 10_000
RESULT = "result"
"""What the work of several agents together is called."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
TASK_TYPES: dict[str, tuple[str, ...]] = {
    "coordinator": ("survey", "merge", "integrate", "rank"),
    "researcher": ("research",),
    "architect": ("analyse_architecture",),
    "coder": ("fix", "implement"),
    "reviewer": ("review_code", "vote"),
    "tester": ("run_tests", "judge"),
}
"""What each role does in a plan."""
CODE_TASKS = ("implement", "integrate", "judge", "rank")
"""What only a plan of the playbook `code` has."""
AGAIN = "again-"
"""What the name of a task begins with that does another one once more; the rest is that one's."""


class PlanTask(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One task of a plan."""

    id: str
    role: Role
    type: str
    title: str = ""
    focus: Focus | None = None
    """Of a review or a vote."""
    part: str | None = None
    """The slice of the workspace it is about; left out: all of it."""
    timeout_s: int | None = None
    command: str | None = None
    """Of `implement`: the command line of the agent that does it, or the name of a profile."""
    goal: str | None = None
    """Of `implement`: what this one is to do; left out: the plan's goal."""
    files: tuple[str, ...] = ()
    """Of `implement`: patterns of the files that it will touch, as far as that can be said:
    `shop/limits.py`, `shop/api/`, `docs/**/*.md`."""
    of: str | None = None
    """Of `judge`: whose result, left out: that of the merges before; of `implement`: the task that
    it does once more where that one was not merged."""

    @property
    def agent(self) -> str:
        """The agent that does it; reviewers are one for each focus, coding agents one for each
        task."""
        if self.type == "implement":
            return self.of or self.id
        return self.role if self.focus is None else f"{self.role}-{self.focus}"


class PlanPhase(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Tasks that start once the phase before has ended."""

    name: str
    tasks: tuple[PlanTask, ...]
    sequential: bool = False
    """Whether they run one after the other."""
    uses: tuple[str, ...] = ()
    """Earlier phases whose results they get beside those of the phase just before."""
    width: int = 0
    """At most so many of them at once; 0: all."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything that a run will do."""

    goal: str
    playbook: Playbook
    why: str
    """Why this playbook, one sentence."""
    gates: tuple[Gate, ...]
    parts: tuple[Part, ...]
    phases: tuple[PlanPhase, ...]
    accept: tuple[str, ...] = ()
    """Of the playbook `code`: command lines that have to end with 0 on what is taken."""

    def tasks(self) -> Iterator[tuple[PlanPhase, PlanTask]]:
        """All tasks with their phases, in order."""
        for phase in self.phases:
            for task in phase.tasks:
                yield phase, task

    @property
    def agents(self) -> dict[str, Role]:
        """The agents it needs and their roles, in order of their first task."""
        return {task.agent: task.role for _, task in self.tasks()}

    @property
    def digest(self) -> str:
        """SHA-256 of its content in hex; comments and order of keys in a file do not matter."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    def faults(self) -> list[str]:
        """What is wrong with it, one sentence each; none when it can run."""
        return [*self._faults_of_names(), *self._faults_of_tasks(), *self._faults_of_coding()]

    def _faults_of_names(self) -> Iterator[str]:
        if not self.phases or any(not phase.tasks for phase in self.phases):
            yield "A plan has at least one phase, and each phase at least one task."
        named: tuple[tuple[str, list[str]], ...] = (
            ("phase", [phase.name for phase in self.phases]),
            ("task", [task.id for _, task in self.tasks()]),
            ("part", [part.name for part in self.parts]),
            ("gate", [str(gate) for gate in self.gates]),
        )
        for what, names in named:
            twice = sorted({name for name in names if names.count(name) > 1})
            yield from (f"The {what} {name!r} is there twice." for name in twice)
            yield from (
                f"{name!r} is no name of a {what}: use letters, digits, hyphens, underscores and "
                "dots." if what in ("task", "phase") else f"A {what} has no name."
                for name in sorted(set(names))
                if not (_NAME.match(name) if what in ("task", "phase") else name)
            )  # fmt: skip

    def _faults_of_tasks(self) -> Iterator[str]:
        parts = {part.name for part in self.parts}
        earlier: set[str] = set()
        for phase in self.phases:
            for name in phase.uses:
                if name not in earlier:
                    yield f"{phase.name}: {name!r} is no earlier phase."
            for task in phase.tasks:
                known = TASK_TYPES[task.role]
                if task.type not in known:
                    can = ", ".join(known)
                    yield f"{task.id}: a {task.role} cannot do {task.type!r}; it does {can}."
                if (task.focus is not None) != (task.role == "reviewer"):
                    yield f"{task.id}: a reviewer's task has a focus, and no other task has one."
                if task.part is not None and task.part not in parts:
                    yield f"{task.id}: there is no part {task.part!r}."
                if task.timeout_s is not None and task.timeout_s <= 0:
                    yield f"{task.id}: timeout_s is a number of seconds above zero."
            earlier.add(phase.name)

    def _faults_of_coding(self) -> Iterator[str]:
        """Of what coding agents do, and of what is made of it."""
        for number, each in enumerate(self.accept, 1):
            if not _is_command(each):
                yield f"accept: predicate {number} is no command line: {each!r}."
        earlier: set[str] = set()
        for phase in self.phases:
            for task in phase.tasks:
                if task.type in CODE_TASKS and self.playbook != "code":
                    yield f"{task.id}: only the playbook code has tasks of type {task.type}."
                yield from _faults_of_work(task)
                if task.of is not None and task.of not in earlier:
                    yield f"{task.id}: `of` names no earlier task of a coding agent: {task.of!r}."
            earlier |= {task.id for task in phase.tasks if task.type == "implement"}


def _is_command(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def _faults_of_work(task: PlanTask) -> Iterator[str]:
    own = {"command": task.command, "goal": task.goal, "files": task.files or None}
    for name, value in own.items():
        if task.type != "implement" and value is not None:
            yield f"{task.id}: only a task of type implement has `{name}`."
    if task.type not in ("implement", "judge") and task.of is not None:
        yield f"{task.id}: only a task of type implement or judge has `of`."
    if task.type != "implement":
        return
    if task.of is not None and task.id != AGAIN + task.of:
        yield f"{task.id}: what does {task.of!r} once more is named {AGAIN + task.of!r}."
    if task.of is None and task.id.startswith(AGAIN):
        yield f"{task.id}: a name that begins with {AGAIN!r} belongs to what does a task once more."
    if task.of is not None and task.command is not None:
        yield f"{task.id}: the agent of {task.of!r} does it; it has no `command` of its own."
    if task.command is not None and not _is_command(task.command):
        yield f"{task.id}: `command` is no command line: {task.command!r}."
    if task.goal is not None and not 0 < len(task.goal.strip()) <= len(task.goal) <= GOAL_CHARS_MAX:
        yield f"{task.id}: a goal has 1 to {GOAL_CHARS_MAX} characters."
    for each in task.files:
        wrong = not each.strip("/") or ".." in each.split("/")
        if wrong or each.count("[") != each.count("]"):
            yield (
                f"{task.id}: {each!r} can match no file: `files` are patterns of paths from the "
                "top of the workspace, such as src/api/*.py, without `..`."
            )
    if ".." in task.id or task.id.endswith((".", ".lock")) or task.id == RESULT:
        yield f"{task.id}: what an agent makes cannot be kept by this name: choose another."


def drawing(plan: Plan) -> list[str]:
    """The plan as a Mermaid flowchart, line by line."""
    lines = ["flowchart LR"]
    for number, phase in enumerate(plan.phases):
        lines.append(f"    subgraph p{number}[{phase.name}]")
        lines += [f"        {_node(task.id)}[{task.id}: {task.agent}]" for task in phase.tasks]
        lines.append("    end")
    lines += [f"    p{number} --> p{number + 1}" for number in range(len(plan.phases) - 1)]
    return lines


def _node(task: str) -> str:
    return "".join(each if each.isascii() and each.isalnum() else "_" for each in task)

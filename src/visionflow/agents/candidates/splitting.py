"""The plan of work split over several agents: a merge queue after each group of tasks.

A person writes what is to be done and by whom; here it becomes the whole plan. Tasks whose files
overlap are not side by side: each phase is cut into waves, the later of two after the earlier.
After each wave its work is taken onto one branch; what was not taken is done once more on that
branch, and taken if it fits now. At the end the result is judged. A task that says nothing of its
files may be beside any other: what they then both change is found by the merge.
"""

from collections.abc import Iterator

import msgspec

from visionflow.agents.candidates.overlap import overlap
from visionflow.agents.candidates.planning import DECIDE, JUDGE, JUDGE_S, RANK_S
from visionflow.agents.evidence import Part
from visionflow.agents.plans import AGAIN, Gate, Plan, PlanPhase, PlanTask

INTEGRATE_S = 7_200
_OWN = ("integrate", "judge", "rank")
"""Who writes one of these has written the whole plan."""


def with_queue(plan: Plan) -> Plan:
    """The whole plan of one that says only what is to be done; a whole one is returned as it is.

    The phases of other tasks stay where they are.
    """
    types = {task.type for _, task in plan.tasks()}
    if plan.playbook != "code" or "implement" not in types or types & set(_OWN):
        return plan
    return _Splitting(plan).whole()


def waves(phase: PlanPhase) -> list[tuple[PlanTask, ...]]:
    """The tasks in groups that can be side by side, in order; of a sequential phase each alone."""
    found: list[list[PlanTask]] = []
    for task in phase.tasks:
        after = (
            number
            for number, wave in enumerate(found, 1)
            if phase.sequential or any(overlap(task.files, other.files) for other in wave)
        )
        place = max(after, default=0)
        if place == len(found):
            found.append([])
        found[place].append(task)
    return [tuple(wave) for wave in found]


def expected_by(plan: Plan, integrate: str) -> tuple[str, ...]:
    """Whose work a task of type `integrate` is there for: the tasks of agents since the one before
    it, each by the name that it has when it is first done."""
    since: list[str] = []
    for phase in plan.phases:
        ids = [task.id for task in phase.tasks if task.type == "integrate"]
        if integrate in ids:
            return tuple(dict.fromkeys(since))
        if ids:
            since = []
        since += [task.of or task.id for task in phase.tasks if task.type == "implement"]
    return ()


class _Splitting:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._phases: list[PlanPhase] = []
        self._names = {phase.name for phase in plan.phases}
        self._tasks = {task.id for _, task in plan.tasks()}
        self._became: dict[str, tuple[str, ...]] = {}
        """The waves of each phase."""
        self._done: list[str] = []
        """Phases in which agents worked."""
        self._merged: list[str] = []
        """Phases of the queue."""

    def whole(self) -> Plan:
        for phase in self._plan.phases:
            if any(task.type == "implement" for task in phase.tasks):
                self._split(phase)
            else:
                self._phases.append(msgspec.structs.replace(phase, uses=self._used(phase)))
                self._became[phase.name] = (phase.name,)
        self._conclude()
        return msgspec.structs.replace(
            self._plan,
            gates=tuple(dict.fromkeys(self._gates())),
            parts=self._plan.parts or (Part("all"),),
            phases=tuple(self._phases),
        )

    def _used(self, phase: PlanPhase) -> tuple[str, ...]:
        return tuple(name for used in phase.uses for name in self._became.get(used, (used,)))

    def _split(self, phase: PlanPhase) -> None:
        found = waves(phase)
        used = self._used(phase)
        names: list[str] = []
        for number, tasks in enumerate(found, 1):
            name = phase.name if len(found) == 1 else self._free(f"{phase.name}-{number}")
            names.append(name)
            # The state of the branch, where the phase just before is not the queue's.
            branch = self._merged[-1:] if self._merged[-1:] != [self._last] else []
            width = 0 if phase.width >= len(tasks) else phase.width
            self._phases.append(PlanPhase(name, tasks, uses=(*used, *branch), width=width))
            works = tuple(task for task in tasks if task.type == "implement")
            if works:
                self._queue(name, works, width)
        self._became[phase.name] = tuple(names)

    def _queue(self, wave: str, works: tuple[PlanTask, ...], width: int) -> None:
        """Merge, do once more what was not merged, and merge that."""
        merge = self._merge(wave, f"merge the work of {wave}", tuple(self._merged[-1:]))
        again = self._free(f"again-{wave}")
        self._phases.append(
            PlanPhase(again, tuple(_once_more(task) for task in works), uses=(wave,), width=width)
        )
        self._done += [wave, again]
        self._merge(f"again-{wave}", f"merge what was done once more of {wave}", (merge,))

    def _merge(self, what: str, title: str, uses: tuple[str, ...]) -> str:
        name = self._free(f"merge-{what}")
        task = PlanTask(
            self._free_task(f"integrate-{what}"), "coordinator", "integrate", title,
            timeout_s=INTEGRATE_S,
        )  # fmt: skip
        self._phases.append(PlanPhase(name, (task,), uses=uses))
        self._merged.append(name)
        return name

    def _conclude(self) -> None:
        before = tuple(name for name in self._merged if name != self._last)
        judge = PlanTask(
            self._free_task("judge"), "tester", "judge", "judge the result", timeout_s=JUDGE_S
        )
        rank = PlanTask(self._free_task("rank"), "coordinator", "rank", "rank", timeout_s=RANK_S)
        self._phases += [
            PlanPhase(self._free(JUDGE), (judge,), uses=before),
            PlanPhase(self._free(DECIDE), (rank,), uses=(*self._done, *self._merged)),
        ]

    def _gates(self) -> Iterator[Gate]:
        """Those that the plan asks for, else all that can be said; in any case that all landed."""
        yield from self._plan.gates
        if not self._plan.gates:
            yield "winner"
            if self._plan.accept:
                yield "accept"
            yield from ("tests", "findings")
        yield "landed"

    @property
    def _last(self) -> str | None:
        return self._phases[-1].name if self._phases else None

    def _free(self, name: str) -> str:
        return _free(name, self._names)

    def _free_task(self, name: str) -> str:
        return _free(name, self._tasks)


def _once_more(task: PlanTask) -> PlanTask:
    return msgspec.structs.replace(
        task,
        id=f"{AGAIN}{task.id}",
        title=f"{task.title or task.id}, once more where it was not merged",
        command=None,
        of=task.id,
    )


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where the plan has it already; it is taken from now on."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free

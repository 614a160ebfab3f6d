"""The verdict on a finished run: every accepted task has ended, once, as its script says."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from visionflow.domain.votes import CAST_BALLOT
from visionflow.testing.checkers import COUNTED, ENDED, Fact, TaskLine
from visionflow.testing.workload import Script, Workload

CRASHES_MAX = 3
KILLS_MAX = 16
DOUBTED = ("in_doubt", "probeable")
KILLS = ("killed", "lost", "agent_gone", "network_failure", "deadlock")


class Verdict:
    """Judges tasks by their scripts."""

    def __init__(
        self,
        tasks: dict[str, TaskLine],
        workload: Workload,
        accepted: frozenset[str],
        blobs: Mapping[str, bytes],
        blames: bool,
    ) -> None:
        """`tasks` is what the log says of each; `accepted` are commands that were answered with
        yes. With `blames`, attempts may have run out of time because something stood still."""
        self._tasks = tasks
        self._workload = workload
        self._accepted = accepted
        self._blobs = blobs
        self._blames = blames

    def faults(self) -> Iterator[str]:
        """Whatever is not as it should be, one sentence each."""
        submitted = list[str]()
        for action in self._workload.actions:
            if action.command in self._accepted:
                submitted.extend(action.tasks)
        for name in submitted:
            if name not in self._tasks:
                yield f"task {name} was acknowledged and is not in the log"
        for name, task in self._tasks.items():
            if task.status not in ENDED:
                yield f"task {name} is {task.status} in the end"
            elif task.spec.get("type") == CAST_BALLOT:
                continue  # What its answer counts for is the business of the checkers.
            elif task.phases:
                yield from self._plan(name, task)
            else:
                yield from self._task(name, task, self._script(name, task))

    def _script(self, name: str, task: TaskLine) -> Script:
        """What the task was to do; one that an agent delegated brings it along."""
        if task.delegated_by is None:
            return self._workload.scripts[name]
        return msgspec.convert(self._value(task.spec["input"]), Script)

    def _plan(self, name: str, task: TaskLine) -> Iterator[str]:
        asked = self._was_cancelled(name)
        failing = None
        for title, names, _ in task.phases:
            failed = sum(self._tasks[part].status != "completed" for part in names)
            if failed * 10_000 > task.threshold_bp * len(names):
                failing = title
        if task.status == "completed" and failing is not None:
            yield f"plan {name} completes although phase {failing} failed"
        elif task.status == "failed" and failing is None:
            yield f"plan {name} fails although its phases did not"
        elif task.status == "cancelled" and not asked:
            yield f"plan {name} is cancelled and nobody asked for that"

    def _was_cancelled(self, name: str) -> bool:
        return self._workload.cancelled.get(name) in self._accepted

    def _task(self, name: str, task: TaskLine, script: Script) -> Iterator[str]:
        yield from self._attempts(name, task, script)
        match task.status:
            case "completed":
                if script.outcome(task.completed_attempt) != "ok":
                    yield f"task {name} completes in attempt {task.completed_attempt}"
                yield from self._result(name, task, script)
            case "cancelled":
                root = self._tasks.get(task.spec.get("parent") or "")
                if not self._was_cancelled(name) and (root is None or root.status == "completed"):
                    yield f"task {name} is cancelled and nobody asked for that"
            case "failed":
                if not task.excused and not self._may_fail(task):
                    yield f"task {name} fails ({task.reason}) after {task.round}"
            case _:
                if not self._may_be_given_up(task):
                    yield f"task {name} is given up ({task.reason}) after {task.round}"

    def _attempts(self, name: str, task: TaskLine, script: Script) -> Iterator[str]:
        for attempt, kind in task.failures:
            outcome = script.outcome(attempt)
            if kind == "permanent" and self._waits_in_vain(name):
                continue
            if kind == "deadlock" and not script.locks and not script.subs:
                yield f"attempt {attempt} of {name} ends with {kind} and waits for nothing"
            shared = attempt in task.shared and kind in ("error", "throttled")
            if kind == "throttled" and any(each in DOUBTED for each in script.effects):
                # An effect that stood in its way was in doubt, until a late word of its end.
                continue
            if kind in ("error", "permanent", "throttled") and outcome != kind and not shared:
                yield f"attempt {attempt} of {name} ends with {kind}, its script says {outcome}"
            if (
                kind == "throttled"
                and not shared
                and task.waits.get(attempt, script.wait_ms) < script.wait_ms
            ):
                yield (
                    f"attempt {attempt} of {name} asks for {script.wait_ms} ms and the task waits "
                    f"{task.waits[attempt]} ms"
                )
            if kind == "timeout" and outcome != "hang" and not self._blames:
                if task.spec.get("deadline_ms") is None:
                    yield f"attempt {attempt} of {name} runs out of time: {outcome}"

    def _waits_in_vain(self, name: str) -> bool:
        """Whether a task that it delegated ended without a result."""
        return any(
            other.delegated_by == name and other.status != "completed"
            for other in self._tasks.values()
        )

    def _may_fail(self, task: TaskLine) -> bool:
        counted = sum(kind in COUNTED for kind in task.round)
        policy = task.spec.get("retry", {})
        once = policy.get("attempts_max", 3) == 1 or policy.get("backoff") == "none"
        return "permanent" in task.round or (once and counted == 1)

    def _may_be_given_up(self, task: TaskLine) -> bool:
        counted = sum(kind in COUNTED for kind in task.round)
        if counted >= task.spec.get("retry", {}).get("attempts_max", 3):
            return True
        kills = sum(task.since_step[kind] for kind in KILLS)
        return task.since_step["crash"] >= CRASHES_MAX or kills >= KILLS_MAX

    # Results -----------------------------------------------------------------------------------

    def _result(self, name: str, task: TaskLine, script: Script) -> Iterator[str]:
        found = self._value(task.result)
        if not isinstance(found, dict) or "task" not in found:
            yield f"task {name} has the result {found!r:.80}"
            return
        result = cast("Fact", found)
        if result["task"] != name:
            yield f"task {name} has the result of {result['task']}"
        if result["attempt"] != task.completed_attempt:
            yield f"task {name} has the result of attempt {result['attempt']}"
        right = script.number + sum(self._given(task)) + sum(script.subs)
        if result["number"] != right:
            yield f"task {name} has the number {result['number']}, right is {right}"
        kept: list[Any] = [None] * script.steps
        for key, (_, value) in task.steps.items():
            kept[int(key.partition("#")[2].partition(":")[0]) - 1] = self._value(value)
        if result["steps"] != kept:
            yield f"task {name} went on with steps {result['steps']}; the log has {kept}"

    def _given(self, task: TaskLine) -> Iterator[int]:
        """The numbers of the results that the task was given."""
        names: list[str] = list(task.spec.get("depends_on", ()))
        root = self._tasks.get(task.spec.get("parent") or "")
        before: list[str] = []
        for title, parts, _ in [] if root is None else root.phases:
            if title == task.spec.get("phase"):
                names.extend(before)
            before = parts
        for name in names:
            other = self._tasks[name]
            if other.status == "completed":
                given = self._value(other.result)
                yield given["number"] if isinstance(given, dict) else 0

    def _value(self, payload: list[Any]) -> Any:
        if len(payload) > 1 and payload[1] is not None:
            body = self._blobs.get(payload[1])
            missing = f"blob {payload[1][:8]}, which is not stored as it was"
            return missing if body is None else msgspec.msgpack.decode(body)
        return msgspec.msgpack.decode(payload[0]) if payload and payload[0] else None

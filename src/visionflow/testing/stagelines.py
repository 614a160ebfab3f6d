"""The checker's look at pipelines: one stage at a time, judged once its task has ended, by numbers.

Like the rest of the checker it reads plain maps and shares no code with the engine.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from visionflow.testing.tasklines import Fact, TaskLine

KINDS = frozenset(
    {"pipeline_opened", "stage_began", "stage_judged", "pipeline_ended", "pipeline_resumed"}
)
ENDED = frozenset({"completed", "failed", "cancelled", "dead_letter"})
PASSES = frozenset({"go_on", "finish"})


class PipelineLine:
    """What the log says of one pipeline."""

    def __init__(self, spec: Fact, start: int) -> None:
        self.stages: dict[str, Fact] = {stage["name"]: stage for stage in spec["stages"]}
        self.next: str | None = list(self.stages)[start]
        self.task: str | None = None
        self.stage = ""
        self.rounds: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.last = ""
        """What followed the stage before."""


class PipelineCheck:
    """Feed it each event about pipelines in order."""

    def __init__(self) -> None:
        self.open: dict[str, PipelineLine] = {}
        self.over: dict[str, PipelineLine] = {}

    def event(self, kind: str, event: Fact, tasks: Mapping[str, TaskLine]) -> Iterator[str]:
        """What must not have happened."""
        if kind == "pipeline_opened":
            name = event["spec"]["id"]
            if name in self.open or name in self.over:
                yield f"pipeline {name} is opened twice"
            self.open[name] = PipelineLine(event["spec"], event.get("start", 0))
            return
        name = event["pipeline"]
        if kind == "pipeline_resumed":
            line = self.over.pop(name, None)
            if line is None:
                yield f"pipeline {name} goes on and had not ended"
                return
            self.open[name] = line
            line.next, line.task, line.last, line.used = event["stage"], None, "", {}
            return
        line = self.open.get(name)
        if line is None:
            yield f"{kind} of pipeline {name}, which is not open"
        elif kind == "stage_began":
            yield from self._began(name, line, event)
        elif kind == "stage_judged":
            yield from self._judged(name, line, event, tasks)
        else:
            yield from self._ended(name, line, event)

    def _began(self, name: str, line: PipelineLine, event: Fact) -> Iterator[str]:
        stage = event["stage"]
        if line.task is not None:
            yield f"pipeline {name} begins {stage} while {line.task} is under way"
        if stage != line.next:
            yield f"pipeline {name} begins {stage} where {line.next} is next"
        line.rounds[stage] = line.rounds.get(stage, 0) + 1
        if event["round"] != line.rounds[stage]:
            yield f"pipeline {name} counts round {event['round']} of {stage} wrong"
        line.stage, line.task, line.next = stage, event["task"], None

    def _judged(
        self, name: str, line: PipelineLine, event: Fact, tasks: Mapping[str, TaskLine]
    ) -> Iterator[str]:
        task = tasks.get(event["task"])
        if event["task"] != line.task:
            yield f"pipeline {name} judges {event['task']} and waits for {line.task}"
        if task is None or task.status not in ENDED:
            yield f"pipeline {name} judges {event['task']}, which has not ended"
            return
        stage, action = line.stages[line.stage], event["action"]
        passed = task.status == "completed" and not _missed(stage, event.get("measured", {}))
        if action in PASSES and not passed:
            yield f"pipeline {name}: {line.stage} passes and does not meet what is demanded"
        if action not in PASSES and passed and not event.get("reason"):
            yield f"pipeline {name}: {line.stage} fails and nothing says why"
        if action in ("retry", "loop"):
            policy = stage.get("on_failure", {})
            line.used[line.stage] = line.used.get(line.stage, 0) + 1
            if action != policy.get("action") or line.used[line.stage] > policy.get("times", 0):
                yield f"pipeline {name}: {action} of {line.stage} is more than was asked for"
        line.next, line.task, line.last = event.get("to"), None, action

    def _ended(self, name: str, line: PipelineLine, event: Fact) -> Iterator[str]:
        expected = {"finish": "completed", "stop": "failed"}.get(line.last)
        if event["status"] != (expected or "cancelled"):
            yield f"pipeline {name} ends as {event['status']} after {line.last or 'nothing'}"
        self.over[name] = self.open.pop(name)


def _missed(stage: Fact, measured: Mapping[str, Any]) -> bool:
    for name, demand in stage.get("validation", {}).items():
        value = measured.get(name)
        if isinstance(demand, bool):
            if demand and value is not True:
                return True
        elif value is None or isinstance(value, bool) or not value >= demand:
            return True
    return False

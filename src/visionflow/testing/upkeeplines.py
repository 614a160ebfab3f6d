"""What a log says of restarts, recycling and ceilings, and what must not be: for `checkers`, and as
apart from the engine as those."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

Fact = dict[str, Any]

NOT_ITS_OWN = frozenset({"killed", "network_failure"})
"""Ends of a worker that say nothing of it."""
RESTARTS_MAX = 3
PERIOD_MS = 60_000
KINDS = frozenset(
    {
        "agent_recovering",
        "attempt_failed",
        "ceiling_raised",
        "swarm_created",
        "swarm_degraded",
        "swarm_restored",
        "task_assigned",
        "worker_lost",
        "worker_recycling",
        "worker_restarting",
        "worker_started",
        "worker_stopped",
    }
)


class Agent(Protocol):
    """What is known of an agent by now."""

    spec: Fact
    worker: str
    status: str


class UpkeepCheck:
    """Feed it each event of `KINDS`, before the agents are brought up to date with it."""

    def __init__(self) -> None:
        self.leaving: dict[str, None] = {}
        """Workers that are drained, or told to end, so that others take their place."""
        self._deaths: dict[str, list[int]] = {}
        """When workers died by themselves, with nothing to blame, and were started again."""
        self._borne: list[int] = []
        """The same of all workers, with something to blame or not."""
        self._supervision: Fact = {}
        self._given_up: dict[str, None] = {}

    def event(
        self, kind: str, event: Fact, agents: Mapping[str, Agent], at_ms: int
    ) -> Iterator[str]:
        """What is wrong with it."""
        match kind:
            case "swarm_created":
                self._supervision = event["spec"].get("supervision", {})
            case "worker_recycling" | "worker_restarting":
                self.leaving[event["worker"]] = None
            case "worker_started" | "worker_stopped":
                self.leaving.pop(event["worker"], None)
            case "worker_lost":
                self.leaving.pop(event["worker"], None)
                yield from self._lost(event, agents, at_ms)
            case "task_assigned":
                agent = agents.get(event["agent"])
                if agent is not None and agent.worker in self.leaving:
                    yield f"{event['task']} is given to {event['agent']}, which is being replaced"
            case "attempt_failed":
                limit = event.get("timeout_ms")
                if limit is not None and (limit <= 0 or event.get("retry_at_ms") is None):
                    yield f"{event['task']} is given {limit} ms for no further attempt"
            case "ceiling_raised":
                yield from _raised(event, agents.get(event["agent"]))
            case "agent_recovering":
                agent = agents.get(event["agent"])
                if agent is not None and agent.status == "failed":
                    self._deaths.pop(agent.worker, None)
            case _:
                yield from self._standing(kind, event, agents)

    def _lost(self, event: Fact, agents: Mapping[str, Agent], at_ms: int) -> Iterator[str]:
        judged = event.get("judged") or event["kind"]
        if judged in NOT_ITS_OWN or event.get("restart_at_ms") is None:
            return
        name, most = event["worker"], self._supervision.get("restarts_max")
        since = at_ms - self._supervision.get("period_ms", PERIOD_MS)
        self._borne = [*(at for at in self._borne if at > since), at_ms]
        if most is not None and len(self._borne) > most:
            yield f"{name} is started again after {len(self._borne)} deaths; {most} are borne"
        if event.get("busy", False):
            return
        deaths = [at for at in self._deaths.get(name, ()) if at > at_ms - PERIOD_MS]
        self._deaths[name] = [*deaths, at_ms]
        own = [a for a in agents.values() if a.worker == name and a.spec.get("limits")]
        bears = own[0].spec.get("recovery", {}).get("restarts_max", RESTARTS_MAX) if own else None
        if len(deaths) >= (RESTARTS_MAX if bears is None else bears):
            yield f"{name} is started again after {len(deaths) + 1} deaths by itself in a minute"

    def _standing(self, kind: str, event: Fact, agents: Mapping[str, Agent]) -> Iterator[str]:
        failed = {name for name, agent in agents.items() if agent.status == "failed"}
        if kind == "swarm_degraded":
            self._given_up |= dict.fromkeys(event.get("agents", ()))
            for name in self._given_up.keys() & agents.keys() - failed:
                if name in event.get("agents", ()):
                    yield f"the swarm is degraded for {name}, which has not failed"
        elif kind == "swarm_restored":
            for name in sorted(self._given_up.keys() & failed):
                yield f"the swarm is whole again, and {name} has failed"
            self._given_up = {}


def _raised(event: Fact, agent: Agent | None) -> Iterator[str]:
    name, after, before = event["agent"], event["memory_bytes"], event["before_bytes"]
    if agent is None:
        yield f"{name} gets another ceiling and is not there"
        return
    known = agent.spec.get("limits", {}).get("memory_bytes")
    if after <= before or before != known:
        yield f"the ceiling of {name} goes from {before} to {after}, and was {known}"
    agent.spec = {**agent.spec, "limits": {"memory_bytes": after}}

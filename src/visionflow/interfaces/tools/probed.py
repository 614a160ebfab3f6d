"""Workers asked, all at once, whether they live."""

import asyncio
from collections.abc import Iterable

from visionflow.domain.agents import AgentStatus
from visionflow.runtime.swarms import LiveSwarm

_NEEDS_NONE = (AgentStatus.FAILED, AgentStatus.TERMINATING)
Answers = dict[str, bool]
"""Each probe by name, and whether it was answered."""


def running(swarm: LiveSwarm) -> list[str]:
    """Workers that have a process, or should have: somebody is to be hosted there."""
    agents = swarm.state.agents
    return [
        name
        for name, worker in swarm.state.workers.items()
        if worker.pid is not None
        or any(agents[each].status not in _NEEDS_NONE for each in worker.agents)
    ]


async def probe_all(swarm: LiveSwarm, workers: Iterable[str]) -> dict[str, Answers]:
    """What each answered, by its name."""
    names = list(dict.fromkeys(workers))
    found = await asyncio.gather(*(swarm.node.probing.probe(name) for name in names))
    return {name: dict(answers) for name, answers in zip(names, found, strict=True)}


def is_reached(answers: Answers) -> bool:
    """Whether a worker answered over its connection."""
    return answers.get("ping", False)


def is_lost(answers: Answers) -> bool:
    """Whether it may be taken to be lost: more probes failed than were answered."""
    return 2 * sum(answers.values()) < len(answers)

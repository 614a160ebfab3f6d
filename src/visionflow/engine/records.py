"""What each agent did, by the words of what was asked of it: the type of a task and each capability
that it asked for.

Sums over the log. They are no part of the hash, as they follow from it alone; what is decided by
them stands in an event with its figures.
"""

from typing import TYPE_CHECKING

import msgspec

from visionflow.domain.tasks import TaskSpec

if TYPE_CHECKING:
    from visionflow.engine.state import SwarmState

WORDS_MAX = 64
"""Words by which the record of one agent is kept; what comes later is not told apart."""


class Record(msgspec.Struct, gc=False):
    """What an agent did of one kind."""

    completed: int = 0
    failed: int = 0
    """Attempts that failed and count against it."""
    mean_us: int = 0
    """Moving mean of how long the completed ones took."""


NO_RECORD = Record()
Records = dict[str, dict[str, Record]]
"""By agent and word."""


def record_of(state: "SwarmState", agent: str, word: str) -> Record:
    """What an agent did of what this word names. Not to be changed."""
    of_agent = state.records.get(agent)
    return NO_RECORD if of_agent is None else of_agent.get(word, NO_RECORD)


def note_completed(records: Records, agent: str, spec: TaskSpec, duration_us: int) -> None:
    """An agent completed a task that took so long."""
    of_agent = records.get(agent)
    if of_agent is None:
        of_agent = records[agent] = {}
    for word in (spec.type, *spec.capabilities) if spec.capabilities else (spec.type,):
        found = of_agent.get(word)
        if found is not None:
            found.completed += 1
            found.mean_us += (duration_us - found.mean_us) // min(found.completed, 8)
        elif len(of_agent) < WORDS_MAX:
            of_agent[word] = Record(1, 0, duration_us)


def note_failed(records: Records, agent: str, spec: TaskSpec) -> None:
    """An attempt of an agent failed, and that counts against it."""
    of_agent = records.setdefault(agent, {})
    for word in dict.fromkeys((spec.type, *spec.capabilities)):
        found = of_agent.get(word)
        if found is not None:
            found.failed += 1
        elif len(of_agent) < WORDS_MAX:
            of_agent[word] = Record(0, 1)

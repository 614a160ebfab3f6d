"""What each agent did, by type of task and by capability that was asked for.

An index over the log: no part of the digest, so that old logs keep theirs. What is decided by it
stands in an event with its figures. Answering for a ballot is no work and counts nowhere.

A result counts as a success when it is there, and as what a vote makes of it from then on.
"""

from collections.abc import Iterable

import msgspec

from visionflow.domain.tasks import TaskSpec
from visionflow.domain.votes import CAST_BALLOT, Regraded, Standing

WORDS_MAX = 64
"""Types, and capabilities, of which an agent has a record; of further ones nothing is kept."""

KINDS_MAX = 256
"""Pairs of type and capabilities of which it is kept where they count."""


class Record(msgspec.Struct, gc=False):
    """What an agent did of one kind."""

    completed: int = 0
    failed: int = 0
    """Attempts that failed and count against it."""
    mean_us: int = 0
    """Moving mean of how long those that completed took, whatever a vote said of them; 0 without
    one."""


class AgentRecord(msgspec.Struct, gc=False):
    """All that is kept of one agent."""

    types: dict[str, Record]
    capabilities: dict[str, Record]
    whole: Record
    kept: dict[tuple[str, tuple[str, ...]], tuple[Record, ...]]
    """The records that a task of this type and these capabilities counts in: an index."""


class Judged(msgspec.Struct, gc=False):
    """A result that is voted on, or was."""

    agent: str
    spec: TaskSpec
    standing: Standing = Standing.COMPLETED


NO_RECORD = Record()


class Records:
    """By agent; an agent that leaves takes its record along. What is given out is not to be
    changed."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentRecord] = {}
        self.makers: dict[str, str] = {}
        """Of each completed task that is still known, the agent that made its result."""
        self.judged: dict[str, Judged] = {}
        """Of those, the ones that there was a vote about."""
        self.votes: dict[str, dict[str, Judged]] = {}
        """Open votes, by the results that they are about."""

    def of_type(self, agent: str, task_type: str) -> Record:
        """What an agent did of this type of task."""
        found = self.agents.get(agent)
        return NO_RECORD if found is None else found.types.get(task_type, NO_RECORD)

    def of(self, agent: str, word: str = "") -> Record:
        """What an agent did of this type, or else where this capability was asked for; all that it
        did, without a word."""
        found = self.agents.get(agent)
        if found is None:
            return NO_RECORD
        if not word:
            return found.whole
        return found.types.get(word) or found.capabilities.get(word, NO_RECORD)

    def completed(self, agent: str, spec: TaskSpec, duration_us: int) -> None:
        """An agent completed a task that took so long."""
        if spec.type == CAST_BALLOT:
            return
        self.makers[spec.id] = agent
        # For each task: what is counted for its kind is looked up once.
        found = self.agents.get(agent)
        known = None if found is None else found.kept.get((spec.type, spec.capabilities))
        for record in self._kept(agent, spec) if known is None else known:
            count = record.completed = record.completed + 1
            mean_us = record.mean_us
            change = duration_us - mean_us
            record.mean_us = mean_us + (change >> 3 if count >= 8 else change // count)

    def failed(self, agent: str, spec: TaskSpec) -> None:
        """An attempt of an agent failed, and that counts against it."""
        if spec.type != CAST_BALLOT:
            for record in self._kept(agent, spec):
                record.failed += 1

    def voted_on(self, vote: str, specs: Iterable[TaskSpec]) -> None:
        """A vote was opened about what came of these tasks."""
        about: dict[str, Judged] = {}
        for spec in specs:
            agent = self.makers.get(spec.id)
            if agent is not None:
                about[spec.id] = self.judged.setdefault(spec.id, Judged(agent, spec))
        if about:
            self.votes[vote] = about

    def decided(self, vote: str, regraded: Iterable[Regraded]) -> None:
        """A vote is over, and these of its results count as something else."""
        about = self.votes.pop(vote, {})
        for each in regraded:
            result = about[each.task]
            result.standing = each.after
            if each.agent in self.agents:
                for record in self._kept(each.agent, result.spec):
                    record.completed += change_of(each, Standing.COMPLETED)
                    record.failed += change_of(each, Standing.FAILED)

    def forget(self, agent: str) -> None:
        """It has left."""
        self.agents.pop(agent, None)

    def forget_task(self, task: str) -> None:
        """Nothing is known of a task any more; a vote about it that is open goes on."""
        self.makers.pop(task, None)
        self.judged.pop(task, None)

    def _kept(self, agent: str, spec: TaskSpec) -> tuple[Record, ...]:
        found = self.agents.get(agent)
        if found is None:
            found = self.agents[agent] = AgentRecord({}, {}, Record(), {})
        kept = [found.whole]
        record = found.types.get(spec.type)
        if record is None and len(found.types) < WORDS_MAX:
            record = found.types[spec.type] = Record()
        if record is not None:
            kept.append(record)
        for word in dict.fromkeys(spec.capabilities) if spec.capabilities else ():
            record = found.capabilities.get(word)
            if record is None and len(found.capabilities) < WORDS_MAX:
                record = found.capabilities[word] = Record()
            if record is not None:
                kept.append(record)
        if len(found.kept) < KINDS_MAX:
            found.kept[spec.type, spec.capabilities] = tuple(kept)
        return tuple(kept)


def change_of(regraded: Regraded, standing: Standing) -> int:
    """By how much the count of such results changes."""
    return (regraded.after is standing) - (regraded.before is standing)

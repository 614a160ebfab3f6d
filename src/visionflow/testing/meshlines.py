"""The checker's look at auctions: one claim of an attempt, by a majority of those who had a vote.

Like the rest of the checker it reads plain maps and shares no code with the engine.
"""

from collections.abc import Iterator, Mapping

from visionflow.testing.tasklines import AgentLine, Fact, TaskLine
from visionflow.testing.teamlines import asked_of

ELECTORATE_MAX = 16
KINDS = frozenset({"auction_opened", "auction_settled", "auction_lapsed", "claim_refused"})
ENDS = frozenset({"task_failed", "task_cancelled", "task_blocked"})


class MeshCheck:
    """Feed it each event of a log in order."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[int, tuple[str, ...]]] = {}
        """By task: the attempt that is bid for, and who votes."""
        self.electorates: dict[tuple[str, int], tuple[str, ...]] = {}
        """Of every auction there was."""
        self.winners: dict[tuple[str, int], str] = {}
        self.settling: dict[str, int] = {}
        """Tasks whose assignment must follow now, with the attempt."""

    def event(
        self, kind: str, event: Fact, tasks: Mapping[str, TaskLine], agents: Mapping[str, AgentLine]
    ) -> Iterator[str]:
        """What must not have happened."""
        name: str = event.get("task", "")
        task = tasks.get(name)
        if self.settling and (kind != "task_assigned" or name not in self.settling):
            yield f"an auction of {list(self.settling)} is settled and {kind} follows"
            self.settling.clear()
        if kind in ENDS and task is not None:
            self._ended(name, task)
        elif kind == "task_assigned":
            yield from self._assigned(name, event)
        elif kind in KINDS and task is None:
            if kind != "claim_refused":
                yield f"{kind} of {name}, which was never accepted"
        elif kind == "auction_opened" and task is not None:
            yield from self._opened(name, event, task, agents)
        elif kind == "auction_settled":
            yield from self._settled(name, event)
        elif kind == "auction_lapsed" and task is not None:
            if self.open.get(name, (0,))[0] != event["attempt"]:
                yield f"an auction of {name} lapses that is not open"
            self._ended(name, task)

    def _opened(
        self, name: str, event: Fact, task: TaskLine, agents: Mapping[str, AgentLine]
    ) -> Iterator[str]:
        attempt: int = event["attempt"]
        voters = tuple(seat["agent"] for seat in event["seats"])
        if task.status != "queued" or name in self.open:
            yield f"{name} is bid for; it is {task.status}, or is bid for already"
        if attempt != task.attempt + 1:
            yield f"attempt {attempt} of {name} is bid for after attempt {task.attempt}"
        if not 2 <= len(set(voters)) == len(voters) <= ELECTORATE_MAX:
            yield f"attempt {attempt} of {name} is bid for by {list(voters)}"
        for voter in voters:
            if voter not in agents or agents[voter].status not in ("ready", "processing"):
                yield f"{voter} is to bid for {name} and is not there"
            elif asked_of(task.spec) - agents[voter].offers:
                yield f"{voter} is to bid for {name} and could not do it"
        self.open[name] = (attempt, voters)
        self.electorates[name, attempt] = voters

    def _settled(self, name: str, event: Fact) -> Iterator[str]:
        attempt, winner = event["attempt"], event["agent"]
        number, voters = self.open.pop(name, (0, ()))
        if number != attempt or winner not in voters:
            yield f"attempt {attempt} of {name} goes to {winner}, who could not win it"
        if self.winners.setdefault((name, attempt), winner) != winner:
            yield f"attempt {attempt} of {name} is won twice"
        ballots = event["ballots"]
        cast = [ballot["agent"] for ballot in ballots]
        if len(set(cast)) < len(cast) or not set(cast) <= set(voters):
            yield f"attempt {attempt} of {name} has ballots of {cast}; {list(voters)} had one each"
        if any(ballot["winner"] != winner for ballot in ballots):
            yield f"attempt {attempt} of {name} is won with ballots for somebody else"
        if len(cast) <= len(voters) / 2:
            yield f"attempt {attempt} of {name} is won with {len(cast)} of {len(voters)} ballots"
        self.settling[name] = attempt

    def _assigned(self, name: str, event: Fact) -> Iterator[str]:
        attempt = event["attempt"]
        if name in self.open:
            yield f"{name} is given out while it is bid for"
        if self.settling.pop(name, attempt) != attempt:
            yield f"{name} is given out as attempt {attempt}, which is not the one that was won"
        winner = self.winners.get((name, attempt))
        if winner is not None and winner != event["agent"]:
            yield f"attempt {attempt} of {name} was won by {winner} and is given to another"

    def _ended(self, name: str, task: TaskLine) -> None:
        """The number of an attempt that was bid for is spent."""
        attempt, _ = self.open.pop(name, (0, ()))
        task.attempt = max(task.attempt, attempt)

    def was_won(self, task: str, attempt: int) -> bool:
        """Whether an attempt was given out by its peers."""
        return (task, attempt) in self.winners

"""Names of one run within a log that it shares with others.

A run of its own has a log of its own, where its plan's ids stand as they are. In a server's log
they stand behind the id of the root task. Whatever follows a run knows plan ids only: events are
translated before it sees them, and commands after it made them.
"""

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.commands import AnyCommand
from visionflow.domain.events import AnyEvent, Record

PLAN = "plan"
"""The root task, by the run's own name for it."""


class Names:
    """Of a run that has the log to itself: nothing changes."""

    root = PLAN

    def task(self, local: str) -> str:
        """A task of the plan as the log names it."""
        return local

    def own(self, event: AnyEvent) -> AnyEvent | None:
        """The event if it concerns this run, with the run's own names; else `None`."""
        return event

    def told(self, record: Record) -> Record:
        """What of a record concerns this run, as the log has it."""
        return record

    def sent(self, command: AnyCommand) -> AnyCommand:
        """A command of this run, as the log is to have it."""
        return command


ALONE = Names()


class Shared(Names):
    """Of a run whose log has others: tasks, votes and commands stand behind the root's id."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._prefix = root + "."

    def task(self, local: str) -> str:
        return self.root if local == PLAN else self._prefix + local

    def _local(self, name: str) -> str | None:
        if name == self.root:
            return PLAN
        return name[len(self._prefix) :] if name.startswith(self._prefix) else None

    def own(self, event: AnyEvent) -> AnyEvent | None:
        match event:
            case e.Recovered() | e.SwarmClosed() | e.TimeSkipped():
                return event
            case e.TaskSubmitted() | e.PlanSubmitted() | e.VoteOpened():
                local = self._local(event.spec.id)
                if local is None:
                    return None
                spec = msgspec.structs.replace(event.spec, id=local)
                return msgspec.structs.replace(event, spec=spec)
            case e.BallotCast() | e.BallotRefused() | e.VoteDecided():
                local = self._local(event.vote)
                return None if local is None else msgspec.structs.replace(event, vote=local)
            case _:
                task: str | None = getattr(event, "task", None)
                local = None if task is None else self._local(task)
                return None if local is None else msgspec.structs.replace(event, task=local)

    def told(self, record: Record) -> Record:
        return Record(record.at_ms, [each for each in record.events if self.own(each) is not None])

    def sent(self, command: AnyCommand) -> AnyCommand:
        changed: dict[str, object] = {}
        if command.command is not None:
            changed["command"] = f"{self.root}/{command.command}"
        match command:
            case c.OpenVote():
                # Several members may be one agent of the swarm, so they are none by name.
                changed["spec"] = msgspec.structs.replace(
                    command.spec, id=self.task(command.spec.id), seats=True
                )
            case c.CastBallot() | c.CloseVote():
                changed["vote"] = self.task(command.vote)
            case _:
                task: str | None = getattr(command, "task", None)
                if task is not None:
                    changed["task"] = self.task(task)
        return msgspec.structs.replace(command, **changed)

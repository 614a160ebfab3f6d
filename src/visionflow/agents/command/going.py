"""A go: one start of a coding agent's program, from the limits before it to what is kept of it.

What a process that comes later must know is on the disk before anything builds on it: that a go
began, its session as soon as the tool names it, and how it ended. Whoever comes later takes an end
over, goes on with the session, or starts again once all that was there is kept.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from visionflow.agents.base import PermanentFailure, TryLater
from visionflow.agents.candidates.values import Usage
from visionflow.agents.command import ledger
from visionflow.agents.command.confining import (
    Wish,
    command_of,
    hiding_of,
    own_environment,
)
from visionflow.agents.command.governor import Busy, Governor, Slot
from visionflow.agents.command.home import Copied, drop_copies, make_home
from visionflow.agents.command.journal import (
    Ended,
    Go,
    How,
    Journal,
    journal_in,
    write_journal,
)
from visionflow.agents.command.profiles import credentials_of
from visionflow.agents.command.template import Template
from visionflow.agents.command.timing import Times, backoff_ms, clock
from visionflow.agents.command.underway import WAIT_LONG_MS, Run
from visionflow.agents.roles.job import CodingPool
from visionflow.agents.workspace.candidates import Copy, start_again
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.domain.errors import (
    CommandNotStarted,
    ConfinementUnavailable,
    UsageError,
    WorkspaceError,
)
from visionflow.ports.sandbox import Sandbox

KILLED_MAX = 2
"""So often an agent that somebody else killed is gone on with."""
_KILLS = tuple(f"signal:SIG{name}" for name in ("KILL", "TERM", "HUP", "INT"))
_INTERPRETERS = re.compile(
    r"(?:python|pypy|node|deno|bun|npx|uvx?|ruby|perl|env|(?:ba|z|da)?sh)[0-9.]*"
)


class ToolUnusable(PermanentFailure):
    """The tool cannot be started, or its provider refuses it for good, whatever the task."""

    code = "tool_unusable"


class Went(msgspec.Struct, frozen=True):
    """How the work on a task came to an end, all of its goes together."""

    ended: Ended
    number: int
    hows: tuple[How, ...]
    session: str | None
    usage: Usage
    wall_ms: int
    output_bytes: int
    memory_peak_bytes: int | None
    notes: tuple[str, ...] = ()


class Going:
    """The goes of one task. Only one of these is at work at a time: who has it holds the task's
    lock."""

    def __init__(
        self,
        wish: Wish,
        folder: Path,
        *,
        sandbox: Callable[[], Sandbox],
        times: Times,
        lock: int,
        show: Callable[[str], None],
    ) -> None:
        """`folder`: the task's own; `lock`: the descriptor of its lock; `show`: progress."""
        self._wish = wish
        self._folder = folder
        self._sandbox = sandbox
        self._times = times
        self._lock = lock
        self._show = show
        self.tool = tool_of(wish.template)
        profile = wish.template.profile
        key = profile.name if profile.program else f"script-{self.tool}"
        self._governor = Governor(Path(wish.job.governor or folder.parent / "governor"), key)
        self._notes: list[str] = []

    async def went(self, repository: PrivateRepository, copy: Copy) -> Went:
        """Work until the tool came to an end of its own, or take over that it did.

        Raises:
            PermanentFailure: it may not start, cannot, or its provider refuses it for good.
            TryLater: its provider asks for patience, or many others are at work.
        """
        while True:
            journal = journal_in(self._folder)
            last = journal.last
            given = self._wish.template.given
            same = last is not None and last.agent == given
            if last is not None and same and last.ended is not None and last.ended.final:
                return self._adopted(journal, last)
            how: How = "started"
            if last is not None:
                resumes = self._wish.template.profile.resumes
                goes_on = same and resumes and last.session is not None
                how = "resumed" if goes_on else "started_again"
                self._enter(last)
            self._refuse_beyond_limits()
            slot = await self._governor.slot(self._waiting, self._patience)
            try:
                self._refuse_beyond_limits()
                if how == "started_again" and last is not None:
                    self._show(f"{self.tool}: keeping what an earlier go left, and starting again")
                    goal = self._wish.job.goal
                    left = await start_again(repository, copy, attempt=last.number, goal=goal)
                    if left.ref is not None:
                        self._notes.append(f"what go {last.number} left is kept by {left.ref}")
                go = await self._go(journal, how, slot)
            finally:
                slot.close()
            if go.ended is not None and go.ended.final:
                return self._sum(journal_in(self._folder), go.ended)

    def _adopted(self, journal: Journal, last: Go) -> Went:
        """Take over the end of a go that another process saw, or was about to tell of."""
        assert last.ended is not None
        go = msgspec.structs.replace(last, adopted=last.adopted + 1)
        write_journal(self._folder, journal.put(go))
        self._enter(go)
        return self._sum(journal.put(go), last.ended)

    async def _go(self, journal: Journal, how: How, slot: Slot) -> Go:
        """One start of the tool; without an end where its session was not known any more."""
        wish = self._wish
        number = journal.last.number + 1 if journal.last is not None else 1
        session = journal.session if how == "resumed" else None
        go = Go(number, how, clock(), session, agent=wish.template.given)
        write_journal(self._folder, journal.put(go))
        env = own_environment(wish, os.environ)
        copies = self._copies()
        wall_ms, whose = self._times.wall_ms(wish)
        try:
            hiding = hiding_of(wish, env, [each.name for each in copies])
            run = Run(wish, self._folder, journal, go, hiding, self._doing)
            self._doing("goes on with its session" if how == "resumed" else "started")
            locks = (self._lock, slot.descriptor)
            command = command_of(wish, env, session=session, wall_ms=wall_ms, locks=locks)
            done = await run.done(self._sandbox(), command, self.tool)
            go = run.over(done, whose)
        except CommandNotStarted as error:
            write_journal(self._folder, journal)
            raise ToolUnusable(error.message, hint=error.hint) from error
        except (ConfinementUnavailable, UsageError) as error:
            write_journal(self._folder, journal)
            raise PermanentFailure(error.message, hint=error.hint) from error
        finally:
            drop_copies(Path(wish.home), copies)
        self._notes += run.notes
        go = self._gone_on_with(journal, go)
        assert go.ended is not None
        if how == "resumed" and run.stillborn and go.ended.refused is None:
            # The tool did not know its session any more: nothing was done, so it starts anew.
            go = msgspec.structs.replace(go, ended=None, session=None)
            write_journal(self._folder, journal.put(go))
            return go
        write_journal(self._folder, journal.put(go))
        self._enter(go)
        await asyncio.to_thread(self._judge_refusal, journal.put(go), go, slot)
        return go

    def _gone_on_with(self, journal: Journal, go: Go) -> Go:
        """The same go, marked where somebody else killed it and it has not happened too often."""
        ended = go.ended
        before = sum(each.ended is not None and each.ended.killed for each in journal.goes)
        if ended is None or ended.ended_by not in _KILLS or before >= KILLED_MAX:
            return go
        self._doing(f"was killed ({ended.ended_by}), and is gone on with")
        return msgspec.structs.replace(go, ended=msgspec.structs.replace(ended, killed=True))

    def _copies(self) -> tuple[Copied, ...]:
        home = Path(self._wish.home)
        files = credentials_of(self._wish.template.profile, Path.home(), os.environ)
        try:
            return make_home(home, files)
        except OSError as error:
            raise WorkspaceError(f"The home {home} of an agent cannot be made: {error}.") from error

    def _doing(self, note: str) -> None:
        self._show(f"{self.tool}: {note}")

    def _enter(self, go: Go) -> None:
        """Put it into the run's ledger."""
        wall_ms = go.ended.wall_ms if go.ended is not None else None
        job, name = self._wish.job, self._folder.name
        line = ledger.Line(name, go.number, self.tool, go.usage, wall_ms)
        ledger.record(self._folder.parent, line)
        if job.pool is not None:
            shared = msgspec.structs.replace(line, task=f"{job.run}/{name}")
            ledger.record(Path(job.pool.folder), shared)
        for limits in (job.bounds, job.pool):
            note = None if limits is None else ledger.unheld(limits, go.usage, self.tool)
            if note is not None and note not in self._notes:
                self._notes.append(note)

    def _judge_refusal(self, journal: Journal, go: Go, slot: Slot) -> None:
        """Tell the governor how it went, and raise what the provider's refusal comes to."""
        assert go.ended is not None
        refused = go.ended.refused
        if refused is None:
            if go.ended.exit_code == 0:
                self._governor.went_well()
            return
        if refused.permanent:
            raise ToolUnusable(
                f"{self.tool} was refused for good: {_sentence(refused.message)}",
                hint="Mend that, and start the task again.",
            )
        tries = 0
        for each in reversed(journal.goes):
            if each.ended is None or each.ended.refused is None or each.ended.refused.permanent:
                break
            tries += 1
        wait_ms = refused.wait_ms if refused.wait_ms is not None else backoff_ms(tries)
        self._governor.slow_down(slot, wait_ms)
        raise TryLater(
            f"{self.tool} was asked for patience by its provider: {_sentence(refused.message)}",
            wait_ms=wait_ms,
        )

    def _refuse_beyond_limits(self) -> None:
        bounds, pool = self._wish.job.bounds, self._wish.job.pool
        reached = ledger.reached(bounds, ledger.spent(ledger.lines(self._folder.parent)))
        if reached is not None:
            raise PermanentFailure(
                f"{self.tool}: {reached}", hint="Start a run with a higher limit to go on."
            )
        if pool is not None:
            self._refuse_beyond_pool(pool)
        ends_at = self._times.ends_at_ms(self._wish)
        if ends_at is not None and clock() >= ends_at:
            raise PermanentFailure(
                f"{self.tool}: limit of the run's time reached: it was to be over at "
                f"{_at(ends_at)}; not started.",
                hint="Start a run with a higher limit to go on.",
            )

    def _refuse_beyond_pool(self, pool: CodingPool) -> None:
        reached = ledger.reached(pool, ledger.spent(ledger.lines(Path(pool.folder))))
        if reached is None and pool.ends_at_ms is not None and clock() >= pool.ends_at_ms:
            reached = (
                f"limit of time of {pool.name} reached: it was to be over at "
                f"{_at(pool.ends_at_ms)}; not started."
            )
        if reached is not None:
            raise PermanentFailure(
                f"{self.tool}: {reached}", hint="Go on in a swarm with a higher limit."
            )

    def _waiting(self, busy: Busy) -> None:
        until = f", until {_at(busy.until_ms)}" if busy.until_ms is not None else ""
        self._show(f"waiting for {self.tool}: {busy.held} of {busy.limit} at work{until}")

    def _patience(self, busy: Busy) -> None:
        """Do not sit out what is long, nor what would eat the attempt's own time."""
        if busy.until_ms is not None and busy.until_ms - clock() > WAIT_LONG_MS:
            raise TryLater(
                f"{self.tool} was asked for patience by its provider; no go starts before "
                f"{_at(busy.until_ms)}.",
                wait_ms=busy.until_ms - clock(),
            )
        if self._times.is_short(self._wish):
            raise TryLater(
                f"{busy.held} of {busy.limit} goes of {self.tool} are at work already.",
                wait_ms=60_000,
            )

    def _sum(self, journal: Journal, ended: Ended) -> Went:
        goes = journal.goes
        ends = [each.ended for each in goes if each.ended is not None]
        peaks = [each.memory_peak_bytes for each in ends if each.memory_peak_bytes is not None]
        assert journal.last is not None
        return Went(
            ended=ended,
            number=journal.last.number,
            hows=journal.hows,
            session=journal.session,
            usage=ledger.together(each.usage for each in goes),
            wall_ms=sum(each.wall_ms for each in ends),
            output_bytes=sum(each.output_bytes for each in ends),
            memory_peak_bytes=max(peaks, default=None),
            notes=(*self._notes, *_unsaid(goes, self.tool)),
        )


def _unsaid(goes: Sequence[Go], tool: str) -> Iterator[str]:
    """That the sum is not of all, where a go was ended before its tool told what it used."""
    told = [each.usage.output_tokens is not None for each in goes]
    silent = [str(go.number) for go, tells in zip(goes, told, strict=True) if not tells]
    if silent and any(told):
        yield (
            f"go {', '.join(silent)} was over before {tool} told what it used; tokens and cost are "
            "what it told in the other goes"
        )


def tool_of(template: Template) -> str:
    """What people call it: the profile's name, or that of the program or script."""
    if template.profile.program:
        return template.profile.name
    names = [os.path.basename(word) for word in template.words if not word.startswith(("-", "{"))]
    own = (each for each in names if not _INTERPRETERS.fullmatch(each))
    return next(own, names[0] if names else "script")


def _sentence(text: str) -> str:
    """Somebody else's words with an end."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _at(at_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))

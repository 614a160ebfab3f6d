"""One go under way: its output is heard, its session kept, and a refusal ends it at once."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from visionflow.agents.command.confining import Wish, held_by
from visionflow.agents.command.hiding import Hiding
from visionflow.agents.command.journal import Ended, Go, Journal, Refused, Whose, write_journal
from visionflow.agents.command.listening import Listener, Log
from visionflow.agents.command.reading import reader_of
from visionflow.agents.command.timing import clock
from visionflow.agents.tools.text import one_line, tail
from visionflow.ports.sandbox import Command, Completed, Sandbox

WAIT_LONG_MS = 10_000
"""A wait that is known to be longer is not waited for with a tool running."""
SAID_CHARS_MAX = 4_000
STANDS_S = 60.0
"""A tool that was asked for patience and goes on waiting is ended after this."""
_LOOK_S = 1.0
_MESSAGE_CHARS_MAX = 500
_SAVE_PAUSE_S = 15.0


class Run:
    """The tool under way: its output is listened to, and a refusal ends it at once."""

    def __init__(
        self,
        wish: Wish,
        folder: Path,
        journal: Journal,
        go: Go,
        hiding: Hiding,
        show: Callable[[str], None],
    ) -> None:
        """`folder`: the task's own; `journal`: with the goes before this one; `show`: what the
        tool does now."""
        self._folder = folder
        self._journal = journal
        self._go = go
        self._refused = asyncio.Event()
        self._saved_at = time.monotonic()
        self._hiding = hiding
        self._log = Log(folder / "output.log", wish.job.bounds.output_bytes)
        self._reports = bool(wish.template.profile.program)
        reader = reader_of(wish.template.profile, journal.used_in(go.session))
        self._listener = Listener(reader, hiding, self._log, show=show, on_heard=self._heard)
        self.notes: list[str] = []
        self._refused_at: float | None = None
        """When the refusal that stands was seen, by the clock that only goes on."""
        self.stillborn = False
        """A session that it was to go on with is not there any more."""

    async def done(self, sandbox: Sandbox, command: Command, tool: str) -> Completed | None:
        """How the command ended; `None` where it was ended for a refusal."""
        go = self._go
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(go.began_ms / 1000))
        self._log.begin(f"go {go.number} of {tool}, {go.how} at {when}")
        work = asyncio.ensure_future(sandbox.run(command, self._listener))
        refusal = asyncio.ensure_future(self._refused.wait())
        try:
            while not work.done() and not self._refused.is_set():
                await asyncio.wait(
                    {work, refusal}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                self._look()
            if self._refused.is_set():
                await _ended(work)
                return None
            return work.result()
        finally:
            refusal.cancel()
            await _ended(work)
            self._log.close()

    def _heard(self) -> None:
        reader = self._listener.reader
        news = reader.session is not None and reader.session != self._go.session
        later = time.monotonic() - self._saved_at >= _SAVE_PAUSE_S
        if news or (later and reader.usage != self._go.usage):
            self._save()
        refusal = reader.refusal
        if refusal is not None and (
            refusal.kind == "permanent" or (refusal.wait_ms or 0) > WAIT_LONG_MS
        ):
            self._refused.set()

    def _look(self) -> None:
        """End a go whose tool obeys a long wait by itself, without a word of how long it is."""
        if self._listener.reader.refusal is None:
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = time.monotonic()
        elif time.monotonic() - self._refused_at >= STANDS_S:
            self._refused.set()

    def _save(self) -> None:
        """The tool's name of the conversation outlives us from here on."""
        reader = self._listener.reader
        session = reader.session or self._go.session
        self._go = msgspec.structs.replace(self._go, session=session, usage=reader.usage)
        write_journal(self._folder, self._journal.put(self._go))
        self._saved_at = time.monotonic()

    def over(self, done: Completed | None, whose: Whose) -> Go:
        """What is kept of it; `whose`: the limit of time that it had."""
        listener = self._listener
        reader = listener.reader
        listener.close(done.exit_code if done is not None else None)
        if self._log.fault is not None:
            self.notes.append(self._log.fault)
        heard = reader.session
        exit_code = done.exit_code if done is not None else None
        refusal = reader.refusal
        if exit_code == 0 or (done is not None and done.ended_by is not None):
            refusal = None  # it got over it, or something else ended it
        refused = None
        if refusal is not None:
            message = one_line(refusal.message)[:_MESSAGE_CHARS_MAX]
            refused = Refused(refusal.kind == "permanent", message, refusal.wait_ms)
        # A tool may name the session that it does not have; then it says that it took no turn.
        nothing = heard is None or reader.usage.turns == 0
        self.stillborn = exit_code not in (0, None) and nothing
        ended = Ended(
            exit_code=exit_code,
            ended_by=done.ended_by if done is not None else None,
            wall_ms=done.wall_ms if done is not None else max(0, clock() - self._go.began_ms),
            memory_peak_bytes=done.memory_peak_bytes if done is not None else None,
            output_bytes=listener.size,
            said=self._said(done),
            held=held_by(done) if done is not None else (),
            refused=refused,
            whose=whose,
        )
        session = heard or self._go.session
        return msgspec.structs.replace(self._go, session=session, usage=reader.usage, ended=ended)

    def _said(self, done: Completed | None) -> str:
        """The tool's last words; where it has none, the end of what it printed. Records of a tool
        that we know are no words."""
        said = self._listener.reader.said.strip()
        if not said and done is not None and not self._reports:
            said = self._hiding.text(done.stderr.strip() or done.stdout.strip())
        return tail(said, SAID_CHARS_MAX)


async def _ended(work: asyncio.Future[Completed]) -> None:
    """Cancel it and return when its processes are gone, also when cancelled meanwhile."""
    work.cancel()
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    if cancelled:
        raise asyncio.CancelledError

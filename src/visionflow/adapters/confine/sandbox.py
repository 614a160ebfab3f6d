"""The sandbox of this operating system: the port's promises over launcher, means and probe."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Coroutine

import msgspec

from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Confinement

from . import groups, means
from .inside.order import Outcome
from .means import Means
from .ordering import order_for
from .probe import Established, established
from .running import Bounds, Running


class OsSandbox:
    """Runs foreign commands under the strongest means that were seen to work here.

    What a command writes it writes as this process's user. Its TMPDIR is private and removed
    with it; where a mount namespace holds, /tmp is that folder too.
    """

    def __init__(self, candidates: tuple[Means, ...] | None = None) -> None:
        """`candidates`: the means to try, strongest first; all that are known by default."""
        self._candidates = tuple(means.candidates()) if candidates is None else candidates

    @property
    def confinement(self) -> Confinement:
        """What holds on this machine, found out by trying; the first call takes some 0.2 s."""
        return established(self._candidates).confinement

    async def run(
        self, command: Command, on_output: Callable[[str, bytes], None] | None = None
    ) -> Completed:
        """Run to the end, as the port says.

        Raises:
            ConfinementUnavailable: nothing can hold it and it is not trusted.
            CommandNotStarted: the program does not exist or cannot be executed.
        """
        found = await asyncio.to_thread(established, self._candidates)
        if not (found.confinement.active or command.trusted):
            raise ConfinementUnavailable(
                f"{command.argv[0]!r} was not run: nothing on this machine can confine it. "
                + " ".join(found.confinement.reasons),
                hint="Allow user namespaces or Landlock, or trust this code explicitly.",
            )
        _check(command)
        if found.means.bubblewrap is not None:
            _check_program(command)
        order = order_for(command, found.means, groups.named(dict(found.groups)))
        bounds = Bounds(command.output_bytes_max, command.output_total_bytes_max)
        running = Running(order, bounds, on_output)
        try:
            outcome = await running.outcome()
        finally:
            await _uninterrupted(running.end())
        return _completed(command, outcome, running, _enforced(command, found))


def _check(command: Command) -> None:
    """Refuse what cannot be meant, before anything is started."""
    if not command.argv:
        raise CommandNotStarted("No program was named: the command's argv is empty.")
    for path in (command.cwd, *command.read, *command.write):
        if not os.path.isabs(path):
            raise CommandNotStarted(
                f"{command.argv[0]!r} was not started: the path {path!r} is not absolute."
            )
    for path in command.write:
        if not os.path.isdir(path):
            raise CommandNotStarted(
                f"{command.argv[0]!r} was not started: it may write to {path!r}, "
                "which is not a folder."
            )


def _check_program(command: Command) -> None:
    """What the launcher would find out itself, were bubblewrap not between it and the program."""
    program = command.argv[0]
    if "/" in program:
        program = os.path.join(command.cwd, program)
    found = shutil.which(program, path=command.env.get("PATH", os.defpath))
    if found is None or not os.path.isdir(command.cwd):
        raise CommandNotStarted(
            f"{command.argv[0]!r} could not be started in {command.cwd!r}: "
            "no such program or folder."
        )


async def _uninterrupted(work: Coroutine[object, object, None]) -> None:
    """Await to the end, also when cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


def _enforced(command: Command, found: Established) -> Confinement:
    """What held this one command: what it was allowed, nothing held."""
    held = found.confinement
    if command.network:
        reasons = (*held.reasons, "The command was given the network.")
        held = msgspec.structs.replace(held, network=None, reasons=reasons)
    if command.memory_bytes is None:
        held = msgspec.structs.replace(held, memory=None)
    return held


def _completed(
    command: Command, outcome: Outcome | None, running: Running, enforced: Confinement
) -> Completed:
    outcome = outcome or Outcome(signal=int(signal.SIGKILL))
    if outcome.error is not None:
        if outcome.confining_failed and not command.trusted:
            raise ConfinementUnavailable(
                f"{command.argv[0]!r} was not run: confining it failed. {outcome.error}."
            )
        raise CommandNotStarted(
            f"{command.argv[0]!r} could not be started in {command.cwd!r}: {outcome.error}."
        )
    ended_by = outcome.reason
    if outcome.signal is not None:
        ended_by = f"signal:{_name(outcome.signal)}"
    return Completed(
        exit_code=outcome.exit_code,
        ended_by=ended_by,
        stdout=running.stdout.text(),
        stderr=running.stderr.text(),
        wall_ms=outcome.wall_ms,
        memory_peak_bytes=outcome.memory_peak_bytes,
        enforced=enforced,
    )


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"SIG{number}"

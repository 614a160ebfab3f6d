"""A sandbox that confines nothing, for tests of the tools alone. Runs what tests wrote, only."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Confinement


class UnconfinedSandbox:
    """Runs each command as a plain child in a session of its own, under its wall clock."""

    confinement = Confinement("test", "test", "test", None)

    def __init__(self) -> None:
        self.commands: list[Command] = []

    async def run(
        self, command: Command, on_output: Callable[[str, bytes], None] | None = None
    ) -> Completed:
        self.commands.append(command)
        started = time.monotonic()
        try:
            child = await asyncio.create_subprocess_exec(
                *command.argv, cwd=command.cwd, env=command.env, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise CommandNotStarted(str(error)) from error
        ended_by: str | None = None
        work = asyncio.ensure_future(child.communicate())
        try:
            await asyncio.wait_for(asyncio.shield(work), command.wall_ms / 1000)
        except TimeoutError:
            ended_by = "wall_clock"
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
            out, err = await work
        code = child.returncode
        if ended_by is None and code is not None and code < 0:
            ended_by = f"signal:{signal.Signals(-code).name}"
        return Completed(
            None if ended_by else code, ended_by, out.decode("utf-8", "replace"),
            err.decode("utf-8", "replace"), int((time.monotonic() - started) * 1000), None,
            self.confinement,
        )  # fmt: skip


class RefusingSandbox:
    """A machine on which nothing confines."""

    confinement = Confinement(None, None, None, None, ("nothing holds here",))

    async def run(
        self, command: Command, on_output: Callable[[str, bytes], None] | None = None
    ) -> Completed:
        raise ConfinementUnavailable("Nothing here can confine foreign code.")

"""One launched command as the worker sees it: start, streams, end, and nothing left in any case.

The launcher process does the holding; this module talks to it over an inherited pipe whose end
tells it that the worker is gone, and trusts its word only as far as it goes: a launcher that
vanishes without a word is reported as such.
"""

import asyncio
import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from .inside import groups
from .inside.order import Order, Outcome, outcome_from
from .inside.removal import remove_tree
from .output import KeptOutput

OnOutput = Callable[[str, bytes], None]

_LAUNCHER = str(Path(__file__).with_name("start.py"))
_CHUNK_BYTES = 65536
_PIPE_HOLDS_BYTES = 60_000
_END_SECONDS_MAX = 15.0
_GRACE_SECONDS = 10.0


class Bounds(NamedTuple):
    """How many bytes of output are kept of each stream, and read of both together."""

    kept: int
    total: int | None


class Running:
    """A command under way. Call `outcome` once; `end` may follow it at any time."""

    def __init__(self, order: Order, bounds: Bounds, on_output: OnOutput | None) -> None:
        self._order = order
        self._on_output = on_output
        self._left = bounds.total
        self._flooded = False
        self.stdout = KeptOutput(bounds.kept)
        self.stderr = KeptOutput(bounds.kept)
        hear, hold = os.pipe()
        told, tell = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _LAUNCHER, str(hear), str(tell)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(hear, tell, *order.locks),
                env={"PATH": os.defpath},
                cwd="/",
                # What ends our whole group, or a terminal's, must not end those who end the rest.
                start_new_session=True,
            )
        except BaseException:
            os.close(hold)
            os.close(told)
            raise
        finally:
            os.close(hear)
            os.close(tell)
        self._hold: int | None = hold
        self._told = os.fdopen(told, "rb", 0)

    async def outcome(self) -> Outcome | None:
        """How the launcher says it went; `None` when the launcher was killed.

        Raises:
            Exception: whatever `on_output` raised. The caller calls `end` in every case.
        """
        await self._say(self._order.encoded())
        word = bytearray()
        readers = [
            asyncio.ensure_future(self._read(self._told, word.extend)),
            asyncio.ensure_future(self._read(self._process.stdout, self._keep("stdout"))),
            asyncio.ensure_future(self._read(self._process.stderr, self._keep("stderr"))),
        ]
        try:
            async with asyncio.timeout(self._order.wall_ms / 1000 + _GRACE_SECONDS):
                await asyncio.gather(*readers)
        except TimeoutError:
            return None
        finally:
            for each in readers:
                each.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        outcome = outcome_from(bytes(word)) if word else None
        if outcome is not None and outcome.error is None and self._flooded:
            outcome = outcome._replace(exit_code=None, signal=None, reason="output")
        return outcome

    def _keep(self, name: str) -> Callable[[bytes], None]:
        kept = self.stdout if name == "stdout" else self.stderr

        def add(data: bytes) -> None:
            data = self._within(data)
            if not data:
                return
            kept.add(data)
            if self._on_output is not None:
                self._on_output(name, data)

        return add

    def _within(self, data: bytes) -> bytes:
        """What of it may still be read; where that is not all, the command is ended."""
        if self._left is None:
            return data
        if len(data) > self._left:
            self._flooded = True
            self._let_go()
        data = data[: self._left]
        self._left -= len(data)
        return data

    async def _say(self, raw: bytes) -> None:
        message = struct.pack("=I", len(raw)) + raw
        if len(message) < _PIPE_HOLDS_BYTES:
            self._write(message)
        else:
            await asyncio.to_thread(self._write, message)

    def _write(self, message: bytes) -> None:
        """A launcher that died is found out when its result is awaited, not here."""
        assert self._hold is not None
        rest = memoryview(message)
        with contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._hold, rest) :]

    async def _read(self, pipe: IO[bytes] | None, add: Callable[[bytes], object]) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while data := await reader.read(_CHUNK_BYTES):
                add(data)
        finally:
            transport.close()

    async def end(self) -> None:
        """Close the pipe that keeps the launcher, wait until it and all below are gone, clean up.

        Not to be cancelled: run it shielded.
        """
        self._let_go()
        try:
            await asyncio.to_thread(self._process.wait, _END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        for each in (self._told, self._process.stdout, self._process.stderr):
            if each is not None:
                each.close()
        await asyncio.to_thread(self._clean_up)

    def _let_go(self) -> None:
        """Close the pipe that keeps the launcher, so that it ends the command."""
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def _clean_up(self) -> None:
        """What a launcher that was killed could not remove."""
        groups.remove(self._order.groups)
        remove_tree(self._order.scratch)

"""Tries an import in a process of its own, before one that must not end does it.

`python -P -m visionflow.agents.trying` is the program that tries. What is imported may end its
process or never return, and no caller could catch that. What it raises is left to the import that
follows, which names its line.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TypeVar

import msgspec

from visionflow.agents import loading
from visionflow.domain.errors import ConfigError

TRY_S_MAX = 30.0
"""The slowest libraries take some ten seconds on a slow machine."""
_OURS = "visionflow."
_RETURNED = 64
"""The code that says that the import came to its end; nothing ends with it by chance."""
T = TypeVar("T")


class _Asker:
    """Whoever waits for tries in a thread, and may stop to."""

    gone = False


_asker: ContextVar[_Asker | None] = ContextVar("asker", default=None)
_trying: dict["subprocess.Popen[bytes]", _Asker | None] = {}
_functions: dict[str, tuple[int, int] | None] = {}
"""That were found, with what their file was then."""


def try_import(path: str, seconds: float = TRY_S_MAX) -> None:
    """Make sure that importing the agent at this import path returns, or raises. What was
    imported before, and what is a part of VisionFlow, is not tried.

    Raises:
        ConfigError: it ended its process, or took longer than that; both are told.
    """
    if not path.startswith(_OURS) and not loading.is_loaded(path):
        _tried(path, "class", seconds)


def try_function(path: str, seconds: float = TRY_S_MAX) -> None:
    """Make sure that there is a plain function of one parameter at this import path, which is
    called in other processes only: it is not imported here. One that was found is tried again once
    its file has changed.

    Raises:
        ConfigError: importing it ended its process, took longer than that, or raised; or there is
            no such function.
    """
    seen = loading.stamp_of(path.rpartition(":")[0])
    if path in _functions and _functions[path] == seen:
        return
    said = _tried(path, "function", seconds)
    if said:
        message, hint = msgspec.json.decode(said, type=tuple[str, str | None])
        raise ConfigError(message, hint=hint)
    _functions[path] = seen


def _tried(path: str, kind: str, seconds: float) -> bytes:
    """What the program said of an import that came to its end."""
    place = path.rpartition(":")[0]
    asker = _asker.get()
    process, held = _started(path, kind)
    _trying[process] = asker
    try:
        if asker is not None and asker.gone:
            _kill(process)
        said, _ = process.communicate(msgspec.json.encode(sys.path), seconds)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"Importing {place} did not come to an end within {seconds:g} s.",
            hint="What a module does when it is imported must be short.",
        ) from None
    finally:
        _trying.pop(process)
        _kill(process)
        os.close(held)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    if process.returncode != _RETURNED:
        raise ConfigError(
            f"Importing {place} ends the process that does it: {_ending(process.returncode)}.",
            hint="It must end no process when it is imported, only define things.",
        )
    return said


def _started(path: str, kind: str) -> tuple["subprocess.Popen[bytes]", int]:
    """The program that tries, and the pipe at whose end it ends: it outlives nobody who asked."""
    alive, held = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "visionflow.agents.trying", path, kind, str(alive)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(alive,),
            start_new_session=True,
        )
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(alive)
    return process, held


async def in_thread(call: Callable[[], T]) -> T:
    """What a call that tries something gives, from a thread. Where nobody waits for it any more,
    what it tries is ended."""
    asker = _Asker()

    def asked() -> T:
        _asker.set(asker)
        return call()

    try:
        return await asyncio.to_thread(asked)
    except asyncio.CancelledError:
        asker.gone = True
        for process, whose in list(_trying.items()):
            if whose is asker:
                _kill(process)
        raise


def give_up() -> None:
    """End all tries that are under way, from any thread: nobody waits for them any more."""
    for process in list(_trying):
        _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _end_with(alive: int) -> None:
    """Once whoever asked is gone, nobody else would end an import that never returns."""
    while os.read(alive, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Import, and say that it came to its end, and what it raised."""
    path, kind, alive = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(alive),), daemon=True).start()
    paths = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    sys.path.extend(each for each in paths if each not in sys.path)
    # What an import prints is not what is said here.
    saying = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    load = loading.load_function if kind == "function" else loading.load_agent_class
    try:
        load(path)
    except ConfigError as error:
        os.write(saying, msgspec.json.encode((error.message, error.hint)))
    # Threads that it began must not keep the process.
    os._exit(_RETURNED)


if __name__ == "__main__":
    main()

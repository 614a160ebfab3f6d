"""What every `Host` must do: `CLOCK_CASES` for any, `PROCESS_CASES` where real programs run."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from visionflow.domain.errors import CommandNotStarted
from visionflow.ports.host import UNKNOWN, Exit, Host, Process, ProcessState
from visionflow.testing.conformance.case import Case, Nonconformance, require, within

# Reports what it inherited, then lives until the pipe of its parent ends.
WITNESS = """
import os, sys
pipe = os.fdopen(int(os.environ["VISIONFLOW_PARENT_FD"]), "rb")
print(os.getpid() == os.getsid(0) == os.getpgid(0), pipe.readline(), sys.stdin.read(),
      sorted(set(os.environ) - {"LC_CTYPE", "VISIONFLOW_STARTED_BY"}), flush=True)
sys.exit(7 if pipe.read() == b"" else 8)
"""
# Starts a child in its group and one in a session of its own, says so, and stays.
PARENT = """
import subprocess, sys, time
stay = [sys.executable, "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(stay), subprocess.Popen(stay, start_new_session=True)]
print(*(child.pid for child in children), flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class HostSubject:
    """A host made anew for the running loop."""

    open: Callable[[], Host]


async def time_never_goes_back(subject: HostSubject) -> None:
    """Both clocks, over many readings and a pause."""
    host = subject.open()
    for read in (host.now_ms, host.monotonic_ms):
        times = [read() for _ in range(1_000)]
        await _pause(host, 5)
        times.append(read())
        require(times == sorted(times), f"{read.__name__} went back")
        require(times[-1] > times[0], f"{read.__name__} stands still")


async def entropy_is_64_bits_without_pattern(subject: HostSubject) -> None:
    """Two thousand numbers: none twice, each bit is set about half of the time."""
    host = subject.open()
    numbers = [host.entropy() for _ in range(2_000)]
    require(len(set(numbers)) == 2_000, "a number came twice")
    require(all(0 <= number < 2**64 for number in numbers), "a number is not 64 bits wide")
    for bit in range(64):
        ones = sum(number >> bit & 1 for number in numbers)
        require(800 < ones < 1_200, f"bit {bit} was set {ones} times in 2,000")


async def timers_come_in_order_or_not_at_all(subject: HostSubject) -> None:
    """Shorter delays first, not before their time; a cancelled one never."""
    host = subject.open()
    came: list[int] = []
    done = asyncio.Event()
    began = host.monotonic_ms()
    early: list[int] = []

    def come(delay_ms: int) -> None:
        came.append(delay_ms)
        # A clock in whole milliseconds may show one less.
        if host.monotonic_ms() < began + delay_ms - 1:
            early.append(delay_ms)

    for delay_ms in (60, 20, 40):
        host.call_later(delay_ms, lambda delay_ms=delay_ms: come(delay_ms))
    host.call_later(30, lambda: come(30)).cancel()
    host.call_later(80, done.set)
    await within(done.wait(), "a timer")
    require(came == [20, 40, 60], f"timers came as {came}")
    require(not early, f"timers of {early} ms came early")


CLOCK_CASES: tuple[Case[HostSubject], ...] = (
    time_never_goes_back,
    entropy_is_64_bits_without_pattern,
    timers_come_in_order_or_not_at_all,
)
"""Time and randomness."""


async def a_child_gets_a_session_a_secret_and_nothing_else(subject: HostSubject) -> None:
    """Its own session and group, the pipe with the secret, no input, the given environment and at
    most the variable by which what it starts is found."""
    host = subject.open()
    with TemporaryDirectory() as folder:
        output = Path(folder, "output")
        output.write_text("before\n")
        child = host.spawn(_python(WITNESS), {"ONE": "1"}, b"s3cret", str(output))
        lines = await _printed(output, 2)
        child.kill()
        await _ended(child)
    names = ["ONE", "VISIONFLOW_PARENT_FD"]
    require(lines[0] == "before", "the output file was not appended to")
    line = b"s3cret\n"
    require(lines[1] == f"True {line!r}  {names!r}", f"a child saw: {lines[1]}")


async def an_exit_is_told_once_with_its_code(subject: HostSubject) -> None:
    """A code, a signal's name; also to whoever asks only afterwards."""
    host = subject.open()
    ends = {
        "import sys; sys.exit(3)": Exit(3, None),
        "pass": Exit(0, None),
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": Exit(None, "SIGTERM"),
    }
    for program, expected in ends.items():
        calls: list[Exit] = []
        child = host.spawn(_python(program), {}, b"x")
        child.on_exit(calls.append)
        first = await _ended(child)
        again = await _ended(child)
        require(first == again == expected, f"{program!r} ended as {first}, {again}")
        require(calls == [expected], f"the end of {program!r} was told {len(calls)} times")


async def terminate_asks_and_kill_ends(subject: HostSubject) -> None:
    """A child that ignores the request lives until it is killed; later calls are harmless."""
    host = subject.open()
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\nwhile True: time.sleep(600)"
    )
    with TemporaryDirectory() as folder:
        output = Path(folder, "output")
        child = host.spawn(_python(deaf), {}, b"x", str(output))
        await _printed(output, 1)
        child.terminate()
        child.kill()
        require(await _ended(child) == Exit(None, "SIGKILL"), "kill did not end a deaf child")
        child.kill()
        child.terminate()
    child = host.spawn(_python("import time; time.sleep(600)"), {}, b"x")
    child.terminate()
    require(await _ended(child) == Exit(None, "SIGTERM"), "terminate did not end a child")


async def what_a_child_started_ends_with_it(subject: HostSubject) -> None:
    """A kill ends the whole group and, where the system shows environments, other sessions."""
    host = subject.open()
    child, (inside, outside) = await _family(host)
    try:
        child.kill()
        await _ended(child)
        await _gone(host, [inside, outside] if sys.platform == "linux" else [inside])
    finally:
        _end(inside, outside)


async def a_leftover_is_ended_with_all_it_started(subject: HostSubject) -> None:
    """By another host, as after a crash: nothing of it is alive when the call returns."""
    host = subject.open()
    child, pids = await _family(host)
    other = subject.open()
    try:
        require(other.end_leftover(child.pid, child.started), "a leftover was not found")
        for pid in pids:
            require(not _runs(pid), f"process {pid} of a leftover is alive")
    finally:
        _end(*pids)
        child.kill()
    await _ended(child)
    require(not other.end_leftover(child.pid, child.started), "a dead leftover was found")


async def a_stranger_with_the_same_pid_is_left_alone(subject: HostSubject) -> None:
    """The start time is not the recorded one: nothing is killed."""
    host = subject.open()
    child = host.spawn(_python("import time; time.sleep(600)"), {}, b"x")
    require(child.started != "", "a process has no start time")
    require(not host.end_leftover(child.pid, "0" + child.started), "a stranger was ended")
    require(_runs(child.pid), "a stranger was killed")
    child.kill()
    await _ended(child)


async def the_state_of_a_process_is_told(subject: HostSubject) -> None:
    """It runs, is stopped, runs again, and is gone; one of another start time never was."""
    host = subject.open()
    child = host.spawn(_python("import time; time.sleep(600)"), {}, b"x")
    pid, started = child.pid, child.started
    try:
        await _is(host, pid, started, ProcessState.RUNNING)
        os.kill(pid, signal.SIGSTOP)
        await _is(host, pid, started, ProcessState.STOPPED)
        os.kill(pid, signal.SIGCONT)
        await _is(host, pid, started, ProcessState.RUNNING)
        other = host.process_state(pid, "0" + started)
        require(other is ProcessState.GONE, f"a process of another start time is {other}")
    finally:
        child.kill()
        await _ended(child)
    await _is(host, pid, started, ProcessState.GONE)


async def a_process_of_before_is_watched_and_ended(subject: HostSubject) -> None:
    """One that its host left lives on; another host watches it, and ends it with its group."""
    host = subject.open()
    child, (inside, outside) = await _family(host)
    told: list[Exit] = []
    try:
        child.on_exit(told.append)
        child.leave()
        child.kill()
        other = subject.open()
        require(other.attach(child.pid, "0" + child.started) is None, "a stranger was attached")
        found = other.attach(child.pid, child.started)
        if found is None:
            raise Nonconformance("a process that was left is not there")
        require((found.pid, found.started) == (child.pid, child.started), "it is another one")
        require(_runs(child.pid) and _runs(inside), "a process that was left was ended")
        found.kill()
        require(await _ended(found) == UNKNOWN, "how a stranger's child ended was made up")
        require(not _runs(child.pid) and not _runs(inside), "its end was told too early")
        if sys.platform == "linux":
            await _gone(other, [outside])
        require(other.attach(child.pid, child.started) is None, "a dead process was attached")
        require(not told, "whoever left it was told of its end")
        found.terminate()
        found.kill()
    finally:
        _end(child.pid, inside, outside)
        with suppress(ChildProcessError):
            os.waitpid(child.pid, 0)


async def a_process_of_before_is_asked_to_end(subject: HostSubject) -> None:
    """It gets the request, and its own end is told as well."""
    host = subject.open()
    child = host.spawn(_python("import time; time.sleep(600)"), {}, b"x")
    child.leave()
    found = subject.open().attach(child.pid, child.started)
    if found is None:
        raise Nonconformance("a process that was left is not there")
    found.terminate()
    require(await _ended(found) == UNKNOWN, "how a stranger's child ended was made up")
    with suppress(ChildProcessError):
        os.waitpid(child.pid, 0)


async def what_cannot_start_says_so(subject: HostSubject) -> None:
    """No such program, no right to execute it, no place for its output, no words."""
    host = subject.open()
    attempts: list[tuple[list[str], str | None]] = [
        (["/no/such/program"], None),
        (["/etc/passwd"], None),
        (_python("pass"), "/no/such/folder/output"),
        (["a\0b"], None),
    ]
    for argv, output in attempts:
        try:
            child = host.spawn(argv, {}, b"x", output)
        except CommandNotStarted:
            continue
        child.kill()
        raise Nonconformance(f"{argv} with output to {output} started")


PROCESS_CASES: tuple[Case[HostSubject], ...] = (
    a_child_gets_a_session_a_secret_and_nothing_else,
    an_exit_is_told_once_with_its_code,
    terminate_asks_and_kill_ends,
    what_a_child_started_ends_with_it,
    a_leftover_is_ended_with_all_it_started,
    a_stranger_with_the_same_pid_is_left_alone,
    the_state_of_a_process_is_told,
    a_process_of_before_is_watched_and_ended,
    a_process_of_before_is_asked_to_end,
    what_cannot_start_says_so,
)
"""Real child processes."""


def _python(program: str) -> list[str]:
    # Isolated and without site: it starts faster and reads nothing of this environment.
    return [sys.executable, "-I", "-S", "-c", program]


async def _pause(host: Host, delay_ms: int) -> None:
    done = asyncio.Event()
    host.call_later(delay_ms, done.set)
    await within(done.wait(), "a timer")


async def _ended(child: Process) -> Exit:
    ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    child.on_exit(ended.set_result)
    return await within(ended, "the end of a child")


async def _printed(output: Path, count: int) -> list[str]:
    """The lines of a file, once there are so many."""

    async def look() -> list[str]:
        while True:
            text = output.read_text() if output.exists() else ""
            if text.count("\n") >= count:
                return text.splitlines()
            await asyncio.sleep(0.005)

    return await within(look(), "a child's output")


async def _family(host: Host) -> tuple[Process, list[int]]:
    """A child, and the pids of what it started: in its group, in a session of its own."""
    with TemporaryDirectory() as folder:
        output = Path(folder, "output")
        child = host.spawn(_python(PARENT), {}, b"x", str(output))
        lines = await _printed(output, 1)
    return child, [int(word) for word in lines[0].split()]


async def _is(host: Host, pid: int, started: str, state: ProcessState) -> None:
    async def look() -> None:
        while host.process_state(pid, started) is not state:
            await _pause(host, 5)

    await within(look(), f"a process that is {state}")


async def _gone(host: Host, pids: list[int]) -> None:
    async def look() -> None:
        while any(_runs(pid) for pid in pids):
            await _pause(host, 5)

    await within(look(), "the end of a killed process")


def _end(*pids: int) -> None:
    """Leave nothing behind, whatever the host did."""
    for pid in pids:
        if _runs(pid):
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

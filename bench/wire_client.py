"""The other end of a server that is measured, in a process of its own: `python -m bench.wire_client
TARGET`. It reads bursts from standard input, a JSON object a line, and answers each with what came
of it. Every reply is checked: its id is one that is due, and it is no error.
"""

import asyncio
import os
import re
import resource
import sys
import time
from typing import cast

import msgspec

from bench.figures import percentile
from bench.processes import cpu_s
from bench.wire_framing import Framing, Http, Lines

_ID = re.compile(rb'"id": ?(\d+)')
PATIENCE_S = 60.0
LATENCIES_MAX = 200_000
CHUNK = 1 << 16


class Target(msgspec.Struct, frozen=True):
    """Whom to call."""

    face: str
    """lines, http or stdio."""
    port: int = 0
    path: str = "/"
    headers: dict[str, str] = {}
    argv: tuple[str, ...] = ()
    """Of stdio: the server, which then is a child of this process."""
    env: dict[str, str] = {}
    core: int | None = None
    """Of stdio: the core that the server is kept on."""
    folder: str | None = None
    """Of stdio: where the server is started."""
    connections: int = 1
    opening: tuple[str, ...] = ()
    """Sent on every connection before anything else, one after the other; `#` is the id. Those
    without an id are not answered."""


class Burst(msgspec.Struct, frozen=True):
    """What to call, and for how long."""

    requests: tuple[str, ...]
    """In turns. The first `#` is the id, every other one the id modulo `wrap`."""
    calls: int | None = None
    seconds: float = 5.0
    window: int = 1
    """Requests under way on each connection."""
    first: int = 1
    """The id of the first."""
    wrap: int = 1_000_000_000


class Outcome(msgspec.Struct, frozen=True):
    """What came of a burst."""

    calls: int
    seconds: float
    client_cpu_s: float
    server_cpu_s: float | None
    """Of a server that is this process's child."""
    p50_ms: float
    p99_ms: float
    next_id: int
    reply_bytes: int
    """Of the last reply."""


class Broken(Exception):
    """A reply was an error, or nobody's."""


class Run:
    """One burst over all connections."""

    def __init__(self, burst: Burst, done: "asyncio.Future[None]") -> None:
        self._pieces = [each.encode().split(b"#") for each in burst.requests]
        self._wrap = burst.wrap
        self._left = burst.calls
        self._until = time.perf_counter() + burst.seconds
        self._done = done
        self.next_id = self._first = burst.first
        self.answered = 0
        self.open = 0
        self.last = b""
        self.taken: list[float] = []

    def more(self, now: float) -> tuple[int, bytes] | None:
        """The next request, if there is to be one."""
        if self._left is not None:
            if not self._left:
                return None
            self._left -= 1
        elif now >= self._until:
            return None
        number = self.next_id
        self.next_id = number + 1
        self.open += 1
        head, *rest = self._pieces[(number - self._first) % len(self._pieces)]
        made = head + b"%d" % number
        if len(rest) == 1:
            return number, made + rest[0]
        return number, made + (b"%d" % (number % self._wrap)).join(rest)

    def took(self, seconds: float) -> None:
        """One was answered."""
        self.answered += 1
        self.open -= 1
        if len(self.taken) < LATENCIES_MAX:
            self.taken.append(seconds)

    def rest(self) -> None:
        """A connection has nothing more to send."""
        if not self.open and not self._done.done():
            self._done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """It is worth nothing."""
        if not self._done.done():
            self._done.set_exception(error)


class Connection(asyncio.Protocol):
    """Keeps so many requests under way on one connection."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._transport: asyncio.WriteTransport | None = None
        self._run: Run | None = None
        self._sent: dict[int, float] = {}
        self._told: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins; over pipes, what is written goes elsewhere."""
        if self._transport is None:
            self._transport = cast(asyncio.WriteTransport, transport)

    def writes_to(self, transport: asyncio.WriteTransport) -> None:
        """Where requests are written, when that is not where replies come from."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        error = Broken(f"the server closed a connection: {exc}")
        if self._run is not None:
            self._run.fail(error)
        if self._told is not None and not self._told.done():
            self._told.set_exception(error)

    async def ask(self, body: bytes) -> bytes:
        """One request outside of any burst."""
        self._told = asyncio.get_running_loop().create_future()
        self._write([body])
        return await asyncio.wait_for(self._told, PATIENCE_S)

    def tell(self, body: bytes) -> None:
        """Something that is not answered."""
        self._write([body])

    def begin(self, run: Run, window: int) -> None:
        """Take part in a burst."""
        self._run = run
        self._fill(window if self._framing.pipelined else 1)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        replies = self._framing.replies(data)
        if not replies:
            return
        run = self._run
        if run is None:
            if self._told is not None and not self._told.done():
                self._told.set_result(replies[-1])
            return
        now = time.perf_counter()
        for reply in replies:
            found = _ID.search(reply)
            sent = None if found is None else self._sent.pop(int(found.group(1)), None)
            if sent is None or b'"error":' in reply[:80] or b'"isError":true' in reply:
                run.fail(Broken(reply[:600].decode(errors="replace")))
                return
            run.took(now - sent)
        run.last = replies[-1]
        self._fill(len(replies))

    def _fill(self, count: int) -> None:
        run = self._run
        if run is None:
            return
        now = time.perf_counter()
        bodies: list[bytes] = []
        for _ in range(count):
            made = run.more(now)
            if made is None:
                break
            self._sent[made[0]] = now
            bodies.append(made[1])
        if bodies:
            self._write(bodies)
        else:
            run.rest()

    def _write(self, bodies: list[bytes]) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._framing.request(each) for each in bodies))


async def connected(target: Target) -> tuple[list[Connection], int | None]:
    """Open connections that have said what comes first; and the pid of a server over stdio."""
    pid: int | None = None
    made: list[Connection] = []
    loop = asyncio.get_running_loop()
    if target.face == "stdio":
        one = Connection(Lines())
        pid = await _over_pipes(target, one)
        made.append(one)
    else:
        for _ in range(target.connections):
            lines = target.face == "lines"
            headers = {"Host": f"127.0.0.1:{target.port}"} | target.headers
            one = Connection(Lines() if lines else Http(target.path, headers))
            await loop.create_connection(lambda one=one: one, "127.0.0.1", target.port)
            made.append(one)
    for one in made:
        for number, text in enumerate(target.opening):
            body = text.replace("#", str(number)).encode()
            if '"id"' not in text:
                one.tell(body)
            elif b'"result"' not in (reply := await one.ask(body)):
                raise Broken(reply[:600].decode(errors="replace"))
    return made, pid


async def _over_pipes(target: Target, one: Connection) -> int:
    """A child whose standard input and output this connection is."""
    loop = asyncio.get_running_loop()

    def settle() -> None:
        if target.core is not None:
            os.sched_setaffinity(0, {target.core})

    # Read straight from the pipe, as from a socket: a stream reader would cost the client more.
    child = await asyncio.create_subprocess_exec(
        *target.argv,
        env=dict(os.environ) | target.env,
        cwd=target.folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=(reading := os.pipe())[1],
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=settle,
    )
    os.close(reading[1])
    await loop.connect_read_pipe(lambda: one, os.fdopen(reading[0], "rb", buffering=0))
    if child.stdin is None:
        raise Broken("no pipe")
    one.writes_to(child.stdin.transport)
    CHILDREN.append(child)
    return child.pid


CHILDREN: list[asyncio.subprocess.Process] = []


async def burst_of(connections: list[Connection], burst: Burst, pid: int | None) -> Outcome:
    """Carry out one burst."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    run = Run(burst, done)
    cpu, theirs, began = _cpu(), None if pid is None else cpu_s(pid), time.perf_counter()
    for each in connections:
        each.begin(run, burst.window)
    await asyncio.wait_for(done, burst.seconds + PATIENCE_S + (burst.calls or 0) / 100)
    seconds = time.perf_counter() - began
    return Outcome(
        calls=run.answered,
        seconds=seconds,
        client_cpu_s=_cpu() - cpu,
        server_cpu_s=None if pid is None or theirs is None else cpu_s(pid) - theirs,
        p50_ms=1e3 * percentile(run.taken, 0.5),
        p99_ms=1e3 * percentile(run.taken, 0.99),
        next_id=run.next_id,
        reply_bytes=len(run.last),
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(target: Target) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    connections, pid = await connected(target)
    print("{}", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        burst = msgspec.json.decode(line, type=Burst)
        outcome = await burst_of(connections, burst, pid)
        print(msgspec.json.encode(outcome).decode(), flush=True)
    for child in CHILDREN:
        if child.stdin is not None:
            child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 10)
        except TimeoutError:
            child.kill()
            await child.wait()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Target)))

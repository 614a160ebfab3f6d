"""The program of a worker process: `python -P -m visionflow.compose.worker`.

It reads its order from VISIONFLOW_WORKER (JSON, see `WorkerOrder`) and its secret from the
inherited pipe, wires the real adapters to the session and executor, and ends with a code of
`visionflow.worker.exits`. Nothing is imported that not every worker needs at once.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from visionflow.adapters import os_processes
from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.hub.blocking import BlockingPublisher
from visionflow.adapters.hub.client import connect
from visionflow.adapters.hub.guard import Claim
from visionflow.adapters.os_processes import end_young_descendants
from visionflow.adapters.title import Title
from visionflow.agents.base import AgentContext
from visionflow.compose.gate.hosted import gate_runner
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import ConfigError, VisionFlowError
from visionflow.domain.tasks import FailureKind
from visionflow.ports.bus import Bus
from visionflow.ports.sandbox import Sandbox
from visionflow.worker import exits, limits
from visionflow.worker.executor import Executor
from visionflow.worker.heartbeat import Publisher, ThreadHeartbeat
from visionflow.worker.hiding import HIDDEN, MaskedText, secrets_in
from visionflow.worker.parent import (
    PARENT_FD,
    Alone,
    end_with_group,
    take_secret,
    watch_parent,
)
from visionflow.worker.session import Identity, WorkerSession
from visionflow.worker.threads import OsThreads

ORDER = "VISIONFLOW_WORKER"
ALONE_S = 10.0
"""So long after its grace a worker whose loop is stuck is ended by its heartbeat."""
LAST_WORDS_S = 1.0
"""How long a process over its memory ceiling may take to report what ran."""
SWITCH_S = 0.001
"""Between threads: an agent that computes in one must not keep the loop waiting."""


class WorkerOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who this worker is, where its orchestrator is, and what holds for it."""

    worker: str
    incarnation: int
    swarm: str
    socket: str
    """Path of the hub's socket."""
    blobs: str
    """Folder of the blobs."""
    folder: str
    """Folder below which each agent has its scratch."""
    heartbeat_ms: int = 5_000
    orphan_grace_ms: int = 0
    memory_bytes: int | None = None
    """The memory ceiling of this process, where there is one."""
    import_paths: tuple[str, ...] = ()
    """Where classes of agents are looked for, after what Python knows by itself."""


def main() -> NoReturn:
    """Run until told to stop."""
    # Ctrl-C goes to everybody at the terminal; the orchestrator decides what it means for us.
    # A handler, not SIG_IGN, which the commands of agents would inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        order = _order()
        descriptor, secret = take_secret(dict(os.environ))
    except VisionFlowError as error:
        sys.exit(f"{error}")
    for name in (ORDER, PARENT_FD):
        del os.environ[name]
    if not order.orphan_grace_ms:
        watch_parent(descriptor, lambda: _end_orphaned(exits.ORPHANED))
    HIDDEN.add([secret, *secrets_in(os.environ)])
    sys.stdout = MaskedText(sys.stdout.buffer, HIDDEN.text)
    sys.stderr = MaskedText(sys.stderr.buffer, HIDDEN.text)
    title = Title(f"visionflow {order.worker}")
    sys.setswitchinterval(SWITCH_S)
    sys.path.extend(path for path in order.import_paths if path not in sys.path)
    asyncio.run(_serve(order, secret, title))
    raise AssertionError("a worker ends from inside its loop")


def _order() -> WorkerOrder:
    try:
        return msgspec.json.decode(os.environ.get(ORDER, ""), type=WorkerOrder)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{ORDER} is not the order of a worker: {error}.",
            hint="A worker is started by its orchestrator, not by hand.",
        ) from error


def _end(code: int) -> NoReturn:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code in (exits.ORPHANED, exits.REFUSED):
        _end_orphaned(code)
    # Threads that an agent left behind must not keep the process.
    os._exit(code)


def _end_orphaned(code: int) -> NoReturn:
    """Nobody is left who would end what this process started: it does that itself.

    But for confined commands: were all of such a tree killed by whoever does not stand above it,
    what forks meanwhile would be left. Its launcher sees that this process is gone.
    """
    with suppress(OSError):
        me = os_processes.identity(os.getpid())
        mark = None if me is None else os_processes.mark_of(me)
        if mark is not None:
            os_processes.end_started_by(mark)
        elif me is not None:
            for who in os_processes.family(me):
                os_processes.send(who, signal.SIGKILL)
    if code == exits.REFUSED:
        os._exit(code)  # Whoever turned it away may read that.
    end_with_group(code)


async def _serve(order: WorkerOrder, secret: str, title: Title) -> NoReturn:
    loop = asyncio.get_running_loop()
    identity = Identity(order.worker, order.incarnation, secret, order.swarm, os.getpid())
    host = OsHost(loop)
    blobs = FileBlobs(order.blobs)
    open_sandbox = _sandbox_opener()
    gate = gate_runner(open_sandbox)

    def make_context(spec: AgentSpec, write_log: Callable[[str, str], None]) -> AgentContext:
        folder = Path(order.folder) / spec.id
        return AgentContext(
            folder=folder, blobs=blobs, open_sandbox=open_sandbox, write_log=write_log, gate=gate
        )

    async def dial(on_lost: Callable[[], None]) -> Bus:
        return await connect(order.socket, _claim(identity, "session"), on_lost)

    def hosted(agents: list[str]) -> None:
        title.show(" ".join(("visionflow", order.worker, *agents)))
        tell_ceiling(agents)

    executor = Executor(
        host=host,
        blobs=blobs,
        threads=OsThreads(loop),
        make_context=make_context,
        on_worn_out=lambda: session.end(exits.WORN_OUT),
        on_hosted=hosted,
        end_started=end_young_descendants,
    )
    session = WorkerSession(
        identity,
        dial,
        host,
        executor,
        order.orphan_grace_ms,
        limits.known_resident_bytes,
        lambda: order.memory_bytes or limits.machine_bytes(),
    )
    heartbeat = ThreadHeartbeat(
        _beat_dial(order, identity),
        identity.heartbeats,
        session.heartbeat,
        order.heartbeat_ms,
        executor.overdue_s,
        lambda: os._exit(exits.STALLED),
        None if order.memory_bytes is None else limits.Growth(order.memory_bytes).is_news,
    )
    heartbeat.start()
    held = _hold_memory(order, loop, session)
    tell_ceiling = _ceiling_teller(order, held, executor)
    loop.add_signal_handler(signal.SIGTERM, session.drain, "The worker was told to end (SIGTERM).")
    # A copy that an agent forks has this loop, its connections and its tasks too.
    os.register_at_fork(after_in_child=lambda: loop.call_soon(os._exit, exits.FORKED))
    gc.freeze()
    code = await session.run()
    if held is not None:
        limits.leave(held)
    # From in here: the loop's own end would wait for coroutines that ignore their cancellation.
    _end(code)


def _beat_dial(order: WorkerOrder, identity: Identity) -> Callable[[], Publisher]:
    def dial() -> Publisher:
        return BlockingPublisher(order.socket, _claim(identity, "beat"))

    if not order.orphan_grace_ms:
        return dial  # The end of the pipe has it killed.
    longest_s = (order.orphan_grace_ms + order.heartbeat_ms) / 1_000 + ALONE_S
    return Alone(dial, longest_s, lambda: _end_orphaned(exits.ORPHANED))


def _claim(identity: Identity, role: str) -> Claim:
    return Claim(identity.worker, identity.incarnation, identity.secret, role, swarm=identity.swarm)


def _sandbox_opener() -> Callable[[], Sandbox]:
    made: list[Sandbox] = []

    def open_sandbox() -> Sandbox:
        if not made:
            # Only workers whose agents run foreign commands pay for finding out what holds.
            from visionflow.adapters.confine import OsSandbox

            made.append(OsSandbox())
        return made[0]

    return open_sandbox


def _hold_memory(
    order: WorkerOrder,
    loop: asyncio.AbstractEventLoop,
    session: WorkerSession,
) -> limits.Enforcement | None:
    if order.memory_bytes is None:
        return None
    ceiling = order.memory_bytes

    def reached(seen: int) -> None:
        reason = (
            f"The worker held {seen} bytes of memory; its ceiling is {ceiling} bytes, "
            "held by a watcher of resident memory."
        )
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(
                session.fail_all_and_end, FailureKind.RESOURCES, reason, exits.MEMORY
            )
        time.sleep(LAST_WORDS_S)
        os._exit(exits.MEMORY)

    return limits.enforce(ceiling, reached)


def _ceiling_teller(
    order: WorkerOrder, held: limits.Enforcement | None, executor: Executor
) -> Callable[[list[str]], None]:
    """Tells each agent that is hosted here once, in its own lines, what holds its ceiling."""
    told: dict[str, None] = {}

    def tell(agents: list[str]) -> None:
        if held is None:
            return
        level = "warning" if held.means == "nothing" else "info"
        for agent in agents:
            if agent not in told:
                told[agent] = None
                text = f"The memory ceiling of {order.memory_bytes} bytes is held by {held.means}."
                executor.write_log(agent, level, text)

    return tell


if __name__ == "__main__":
    main()

"""The first process inside: it builds the command's world, starts it, reaps, and reports its end.

In a process namespace it is process 1, so that its death is the death of everything inside;
without one it is a subreaper that kills its descendants. It ends when the launcher does. It is not
confined itself: what it is asked to do comes from the launcher alone.
"""

import json
import os
import resource
import select
import signal
from typing import NoReturn

from . import kernel, landlock, namespaces, seccomp, tree
from .order import Order

# What root keeps of its capabilities, within its user namespace where there is one.
_CAPABILITIES_KEPT = frozenset({0, 1, 3, 4, 5, 6, 7, 10})
_CAPABILITIES_COUNT_MAX = 64
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


def serve(
    order: Order, lifeline: int, status: int, entries: list[int], held: tuple[int, ...]
) -> NoReturn:
    """Run the order; lines of JSON on `status` tell an error, or the exit and the largest size.

    `lifeline` reads as ended when the launcher is gone; `entries` are doors of control groups;
    what is `held` stays open until nothing of the command is left.
    """
    code = 1
    try:
        # Without a namespace it has an end to bring about, also when somebody had stopped it.
        kernel.signal_at_parent_death(signal.SIGKILL if order.namespaces else signal.SIGCONT)
        kernel.adopt_orphans()
        kernel.refuse_tracing()
        _confine_view(order)
        bell = _ring_on_child_death()
        command = os.fork()
        if command == 0:
            _become_command(order, status, entries)
        _keep_only({lifeline, status, *bell, *held})
        _wait(command, lifeline, status, bell[0], alone=order.namespaces)
        code = 0
    except OSError as error:
        _tell(status, {"error": str(error), "confining_failed": True})
    finally:
        os._exit(code)


def _confine_view(order: Order) -> None:
    if order.namespaces:
        namespaces.build_view(order.scratch, order.read, order.write)


def _ring_on_child_death() -> tuple[int, int]:
    bell = os.pipe()
    os.set_blocking(bell[1], False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(bell[1], warn_on_full_buffer=False)
    return bell


def _keep_only(kept: set[int]) -> None:
    """Close all else; the output pipes above all, so that they end with the command."""
    low = 0
    for each in sorted(kept):
        os.closerange(low, each)
        low = each + 1
    os.closerange(low, 1024)


def _wait(command: int, lifeline: int, status: int, bell: int, *, alone: bool) -> None:
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(bell, select.POLLIN)
    ended: int | None = None
    while ended is None:
        ready = {each for each, _ in poll.poll()}
        if lifeline in ready:
            break
        os.read(bell, 4096)
        ended = _reap(command)
    if ended is not None:
        _tell_end(status, ended)
    if not alone:
        tree.end_all(os.getpid())


def _reap(command: int) -> int | None:
    """Status of the command once it is among the dead."""
    found: int | None = None
    try:
        process, code = os.waitpid(-1, os.WNOHANG)
        while process:
            if process == command:
                found = code
            process, code = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    return found


def _tell_end(status: int, code: int) -> None:
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if os.WIFSIGNALED(code):
        _tell(status, {"signal": os.WTERMSIG(code), "largest_bytes": largest})
    else:
        _tell(status, {"exit_code": os.WEXITSTATUS(code), "largest_bytes": largest})


def _tell(status: int, facts: dict[str, object]) -> None:
    os.write(status, json.dumps(facts).encode("ascii") + b"\n")


def _become_command(order: Order, status: int, entries: list[int]) -> NoReturn:
    confining = True
    try:
        signal.set_wakeup_fd(-1)
        for each in _RESET:
            signal.signal(each, signal.SIG_DFL)
        os.setsid()
        for entry in entries:
            os.write(entry, b"0")
        _bound(order)
        _restrict(order)
        confining = False
        os.chdir(order.cwd)
        env = {**order.env, "TMPDIR": _private_folder(order)}
        os.execvpe(order.argv[0], order.argv, env)
    except (OSError, ValueError) as error:
        _tell(status, {"error": str(error), "confining_failed": confining})
    finally:
        os._exit(127)


def _bound(order: Order) -> None:
    """Limits of the process itself. Root is not counted by the kernel: its group counts it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.geteuid() != 0 and order.namespaces:
        most = order.processes_max + 2  # the launcher and the reaper count in this namespace too
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _restrict(order: Order) -> None:
    if not (order.namespaces or order.landlock_abi):
        return  # bubblewrap needs what it was given; without any means the command was trusted
    if os.geteuid() == 0:
        for capability in range(_CAPABILITIES_COUNT_MAX):
            if capability not in _CAPABILITIES_KEPT:
                kernel.drop_from_bounding_set(capability)
    kernel.forbid_new_privileges()
    if order.landlock_abi:
        refuse_tcp = not (order.network or order.namespaces)
        landlock.restrict(order.landlock_abi, _rules(order), refuse_tcp=refuse_tcp)
    if order.seccomp:
        seccomp.restrict(network=order.network)


def _rules(order: Order) -> list[tuple[str, int]]:
    rules = [(path, landlock.READ) for path in order.read]
    rules += [(path, landlock.WRITE) for path in order.write]
    rules += [(device, landlock.DEVICE) for device in namespaces.DEVICES]
    rules += [(_private_folder(order), landlock.WRITE), ("/proc", landlock.LOOK)]
    if order.namespaces:
        rules += [("/dev/shm", landlock.WRITE), ("/dev/pts", landlock.DEVICE)]
        rules += [("/dev", landlock.LOOK), ("/dev/ptmx", landlock.DEVICE)]
    return rules


def _private_folder(order: Order) -> str:
    """TMPDIR as the command sees it."""
    return "/tmp" if order.namespaces else os.path.join(order.scratch, "tmp")

"""The inherited pipe: first it yields the worker's secret, then it tells of the parent's end.

Only the kernel closes the other end, so nothing that happens to the parent is missed, and no
process that merely has its number is taken for it.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

from visionflow.domain.errors import UsageError

PARENT_FD = "VISIONFLOW_PARENT_FD"
SECRET_BYTES_MAX = 4_096


def take_secret(environment: dict[str, str]) -> tuple[int, str]:
    """The pipe's descriptor, which children do not get, and the secret that came over it.

    Raises:
        UsageError: this process was not started by an orchestrator.
    """
    number = environment.get(PARENT_FD, "")
    try:
        descriptor = int(number)
        os.set_inheritable(descriptor, False)
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{PARENT_FD} is not set to an open descriptor: a worker is started by its "
            "orchestrator, not by hand.",
            hint="Use `visionflow run` or AgentOrchestrator.",
        ) from error
    secret = b""
    while not secret.endswith(b"\n") and len(secret) <= SECRET_BYTES_MAX:
        part = os.read(descriptor, 1)
        if not part:
            raise UsageError("The orchestrator ended before it told this worker its secret.")
        secret += part
    return descriptor, secret[:-1].decode()


def watch_parent(descriptor: int, on_gone: Callable[[], None]) -> None:
    """Call `on_gone`, on a thread of its own, once the parent is gone."""

    def wait() -> None:
        while os.read(descriptor, 4_096):
            continue
        on_gone()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def end_with_group(code: int) -> NoReturn:
    """End this process at once, and with it whatever else is in its process group."""
    if os.getpgrp() == os.getpid():
        # It dies by the same signal, with its children; nobody is left to read the code.
        os.killpg(0, signal.SIGKILL)
    os._exit(code)

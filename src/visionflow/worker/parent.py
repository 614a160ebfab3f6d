"""The inherited pipe: first it yields the worker's secret, then it tells of the parent's end.

Only the kernel closes the other end, so nothing that happens to the parent is missed, and no
process that merely has its number is taken for it. A worker that may outlive its orchestrator does
not mind the pipe's end: it looks for the next one, and ends when none comes (`Alone`).
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from visionflow.domain.errors import BusClosed, Refused, UsageError
from visionflow.worker.heartbeat import Publisher

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


class Alone:
    """The dial of a heartbeat that ends this process when nobody was there for too long.

    The loop, which should have seen that first, may be stuck in an agent's code.
    """

    def __init__(
        self, dial: Callable[[], Publisher], longest_s: float, on_alone: Callable[[], None]
    ) -> None:
        """`on_alone` is called on the heartbeat's thread."""
        self._dial = dial
        self._longest_s = longest_s
        self._on_alone = on_alone
        self._heard_at = time.monotonic()
        self._inner: Publisher | None = None

    def __call__(self) -> Publisher:
        """Dial, as the heartbeat does whenever its connection is gone."""
        try:
            self._inner = self._dial()
        except (BusClosed, Refused):
            if time.monotonic() - self._heard_at > self._longest_s:
                self._on_alone()
            raise
        return self

    def publish(self, subject: str, payload: bytes) -> None:
        """See `Publisher`."""
        if self._inner is None:
            raise BusClosed("The connection to the hub is gone.")
        self._inner.publish(subject, payload)
        self._heard_at = time.monotonic()

    def close(self) -> None:
        """See `Publisher`."""
        if self._inner is not None:
            self._inner.close()

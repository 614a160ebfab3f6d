"""What the worker itself does for an agent, told line by line while somebody wants to know."""

from collections.abc import Callable

from visionflow.domain.messages import Failed, Result
from visionflow.ports.host import Host
from visionflow.worker.attempt import RunningAttempt

WriteLog = Callable[[str | None, str, str], None]
"""Takes agent, level and text."""


class Debugging:
    """Of one worker. Belongs to its loop."""

    def __init__(self, host: Host, write_log: WriteLog) -> None:
        self._host = host
        self._write_log = write_log
        self._until_ms: dict[str, float] = {}
        """By agent, on the monotonic clock."""

    def keep(self, agent: str, for_ms: int) -> None:
        """Tell of this agent for so long from now on; 0: no more."""
        if for_ms > 0:
            self._until_ms[agent] = self._host.monotonic_ms() + for_ms
        else:
            self._until_ms.pop(agent, None)

    def is_on(self, agent: str) -> bool:
        """Whether somebody wants to know."""
        until_ms = self._until_ms.get(agent)
        if until_ms is None:
            return False
        if until_ms > self._host.monotonic_ms():
            return True
        del self._until_ms[agent]
        return False

    def taken(self, attempt: RunningAttempt) -> None:
        """An attempt was given to this worker."""
        if self._until_ms:
            steps = len(attempt.dispatch.steps)
            known = f"; {steps} steps of it are done" if steps else ""
            limit = f"{attempt.dispatch.timeout_ms} ms at most{known}"
            self._tell(attempt, f"was given to this worker, {limit}")

    def began(self, attempt: RunningAttempt) -> None:
        """Its code starts."""
        if self._until_ms:
            self._tell(attempt, "begins")

    def stopping(self, attempt: RunningAttempt, why: str) -> None:
        """It is told to stop."""
        if self._until_ms:
            self._tell(attempt, f"is told to stop: {why}")

    def ended(self, attempt: RunningAttempt, message: Result | Failed) -> None:
        """Its code is done, or it was given up."""
        if not self._until_ms:
            return
        if isinstance(message, Result):
            blob, inline = message.value.blob, message.value.inline
            size = "a blob" if blob is not None else f"{len(inline or b'')} bytes"
            self._tell(attempt, f"ended with {size} after {message.duration_us} us")
        else:
            self._tell(attempt, f"ended, {message.kind}")

    def _tell(self, attempt: RunningAttempt, what: str) -> None:
        dispatch = attempt.dispatch
        if self.is_on(dispatch.agent):
            text = f"task {dispatch.task} {dispatch.type}, attempt {dispatch.attempt} {what}"
            self._write_log(dispatch.agent, "debug", text)

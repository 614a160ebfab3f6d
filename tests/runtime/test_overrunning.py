"""Code that was given up and runs on: its worker's process is replaced."""

from types import SimpleNamespace
from typing import Any

import pytest

from visionflow.domain import supervision_commands as sc
from visionflow.domain.messages import Heartbeat
from visionflow.engine.supervised import Supervised
from visionflow.runtime.recycling import Recycling


class Control:
    """A swarm with one worker that agents share, of which it keeps what it is asked to do."""

    def __init__(self) -> None:
        worker = SimpleNamespace(incarnation=2, dedicated=False, agents=["a", "b"])
        self.state = SimpleNamespace(workers={"w1": worker}, supervised=Supervised())
        self.asked: list[sc.RecycleWorker] = []

    def offer(self, command: Any, answered: object = None, *, bounded: bool = True) -> None:
        """Take it, as the engine would."""
        self.asked.append(command)
        self.state.supervised.recycling[command.worker] = command.reason


@pytest.mark.acceptance("recycle")
def test_a_worker_in_which_code_runs_on_that_was_given_up_is_replaced_once() -> None:
    control: Any = Control()
    host: Any = SimpleNamespace(now_ms=lambda: 5)
    recycling = Recycling(control, host, telemetry=SimpleNamespace())  # type: ignore[arg-type]
    recycling.heard(Heartbeat("w1", 2))
    recycling.heard(Heartbeat("w1", 1, overrunning=1))
    assert control.asked == []
    recycling.heard(Heartbeat("w1", 2, overrunning=2))
    recycling.heard(Heartbeat("w1", 2, overrunning=2))
    (asked,) = control.asked
    assert (asked.worker, asked.incarnation) == ("w1", 2)
    assert "2 attempts that were given up" in asked.reason

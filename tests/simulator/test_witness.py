"""The witness of what is sent: work may reach no living process but the one that the log names."""

from typing import Any

import msgspec

from visionflow.domain import messages as m
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.simulator.wire import Hub, WorkerEnd
from visionflow.testing.simulator.witness import Witness

Fact = dict[str, Any]
WRONG = "w1.1 is sent Dispatch: it is not the process that the log names"
SPAWNED: Fact = {"t": "agent_spawned", "spec": {"id": "a"}, "worker": "w1"}
LOST: Fact = {
    "t": "worker_lost",
    "worker": "w1",
    "incarnation": 1,
    "kind": "killed",
    "restart_at_ms": 0,
}
ASSIGNED: Fact = {"t": "task_assigned", "task": "t", "agent": "a", "attempt": 1}


class Scene:
    """An orchestrator and two processes of one worker, both connected."""

    def __init__(self) -> None:
        self.kernel = Kernel(1)
        self.witness = Witness(self.kernel, {})
        orchestrator = self.kernel.process("orchestrator")
        self.hub = Hub(orchestrator, self.witness, lambda *_: True, lambda _: None)
        self.first = self._connected(1)
        self.second = self._connected(2)

    def _connected(self, incarnation: int) -> Process:
        process = self.kernel.process(f"w1.{incarnation}")
        end = WorkerEnd(process, lambda: None)
        end.subscribe("worker.w1", lambda _: None)
        end.join(self.hub.admit(end, "w1", incarnation, "secret", process.pid))
        return process

    def log(self, *events: Fact) -> None:
        self.witness.durable(msgspec.msgpack.encode((self.kernel.shown_ms(), events)))

    def log_the_second(self, *, joined: bool = True) -> None:
        """The first is started and lost, the second takes its place and is given a task."""
        spec = {"id": "t", "type": "x"}
        self.log(SPAWNED, {"t": "agent_initialising", "agent": "a"}, self._started(1, self.first))
        self.log(LOST, self._started(2, self.second))
        if joined:
            self.log({"t": "worker_joined", "worker": "w1", "incarnation": 2})
        self.log({"t": "agent_ready", "agent": "a"}, {"t": "task_submitted", "spec": spec})
        self.log(ASSIGNED)
        assert self.kernel.faults == []

    def _started(self, incarnation: int, process: Process) -> Fact:
        who = {"worker": "w1", "incarnation": incarnation}
        return {"t": "worker_started", **who, "pid": process.pid, "started": process.started}

    def dispatch(self) -> list[str]:
        """Send the attempt to whoever listens as this worker; what the witness finds wrong."""
        message = m.Dispatch(task="t", attempt=1, agent="a", type="x")
        self.hub.publish("worker.w1", msgspec.msgpack.encode(([message],)))
        return [fault.partition("] ")[2] for fault in self.kernel.faults]


def test_work_that_an_earlier_process_could_still_read_is_found() -> None:
    scene = Scene()
    scene.log_the_second()
    assert scene.dispatch() == [WRONG]


def test_the_wire_of_a_dead_process_that_is_not_gone_yet_is_no_hearer() -> None:
    scene = Scene()
    scene.log_the_second()
    scene.first.die()
    assert len(scene.hub.links) == 2
    assert scene.dispatch() == []


def test_work_for_a_process_whose_hello_is_not_in_the_log_is_found_dead_or_alive() -> None:
    scene = Scene()
    scene.log_the_second(joined=False)
    scene.first.die()
    assert scene.dispatch() == [WRONG, WRONG.replace("w1.1", "w1.2")]

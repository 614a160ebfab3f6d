"""What the pure engine costs: deciding and folding, without disk, sockets or processes.

`python bench/engine.py` prints microseconds a task for submit, assign and complete together, events
a second of the fold, and the time to fold a log of 300,000 events as a restart does. All of it is
processor time.
"""

import argparse
import gc
from time import process_time

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.events import AnyEvent, decode_record, encode_record
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.engine.decide import handle, next_assignment
from visionflow.engine.evolve import evolve, fold, open_record
from visionflow.engine.state import SwarmState

RESULT = Payload(inline=b"\x93\x01\x02\x03")


class Engine:
    """Decides and folds; keeps the events by record."""

    def __init__(self) -> None:
        self.state = SwarmState()
        self.records: list[tuple[int, list[AnyEvent]]] = []
        self.now_ms = 1_000_000

    def turn(self, commands: list[c.AnyCommand]) -> None:
        """A batch of commands, one matching pass, one record."""
        state, done = self.state, list[AnyEvent]()
        self.now_ms += 1
        open_record(state, self.now_ms)
        for command in commands:
            for event in handle(state, command)[0]:
                evolve(state, event)
                done.append(event)
        while True:
            assigned = next_assignment(state)
            if assigned is None:
                break
            evolve(state, assigned)
            done.append(assigned)
        self.records.append((self.now_ms, done))


def crew(agents: int, workers: int = 3) -> Engine:
    """An engine whose agents are ready."""
    engine = Engine()
    limits = Limits(agents_max=agents, workers_max=workers)
    engine.turn([c.CreateSwarm(now_ms=0, spec=SwarmSpec(id="s", limits=limits))])
    for number in range(agents):
        spec = AgentSpec(
            id=f"a{number}", type="t", name="n", class_path="m:C", capabilities=("python",)
        )
        engine.turn([c.SpawnAgent(now_ms=0, spec=spec)])
    for name in list(engine.state.workers):
        engine.turn(
            [c.ReportWorkerStarted(now_ms=0, worker=name, incarnation=1, pid=1, started="")]
        )
        engine.turn([c.ReportWorkerJoined(now_ms=0, worker=name, incarnation=1)])
    for name, agent in list(engine.state.agents.items()):
        up = c.ReportAgentUp(now_ms=0, agent=name, worker=agent.worker, incarnation=1)
        engine.turn([up])
    return engine


def tasks(engine: Engine, count: int, window: int, batch: int) -> float:
    """Submit, assign and complete tasks, `window` of them open at a time. Seconds."""
    submitted, open_tasks = 0, list[str]()
    start = process_time()
    while submitted < count or open_tasks:
        commands: list[c.AnyCommand] = [
            c.ReportResult(
                now_ms=engine.now_ms,
                task=name,
                attempt=engine.state.tasks[name].attempt,
                result=RESULT,
                duration_us=300,
            )
            for name in open_tasks[:batch]
        ]
        while submitted < count and len(commands) < 2 * batch and engine.state.live < window:
            spec = TaskSpec(id=f"t{submitted}", capabilities=("python",), input=RESULT)
            commands.append(c.SubmitTask(now_ms=engine.now_ms, spec=spec, command=f"c{submitted}"))
            submitted += 1
            if len(commands) >= len(open_tasks[:batch]) + batch:
                break
        engine.turn(commands)
        open_tasks = list(
            dict.fromkeys(name for agent in engine.state.agents.values() for name in agent.open)
        )
    return process_time() - start


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description="What the engine costs.")
    parser.add_argument("--tasks", type=int, default=100_000)
    count = parser.parse_args().tasks
    gc.freeze()
    for agents, window, batch in ((3, 32, 16), (12, 256, 128)):
        engine = crew(agents)
        taken = tasks(engine, count, window, batch)
        events = sum(len(done) for _, done in engine.records)
        print(
            f"{taken * 1e6 / count:8.2f} us a task: decide and fold, {agents} agents, "
            f"window {window} ({events / count:.1f} events a task)"
        )
    bodies = [encode_record(at_ms, done) for at_ms, done in engine.records]
    gc.freeze()
    start = process_time()
    records = [decode_record(body) for body in bodies]
    decoded = process_time()
    state = SwarmState()
    for record in records:
        fold(state, record)
    taken = process_time() - decoded
    print(f"{events / taken:8,.0f} events/s folded ({events:,} in {taken:.3f} s)")
    whole = (process_time() - start) * 300_000 / events
    print(f"{whole:8.3f} s to decode and fold 300,000 events")
    if state.digest() != engine.state.digest():
        raise AssertionError("the fold of the log is another state")


if __name__ == "__main__":
    main()

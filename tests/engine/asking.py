"""What attempts ask of the swarm: locks, tasks of their own making, and results."""

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.tasks import TaskSpec, TaskStatus


class Asking(Calm):
    """A world whose attempts ask."""

    def attempt(self, task: str) -> int:
        return self.state.tasks[task].attempt

    def lock(self, task: str, lock: str, number: int = 1, attempt: int | None = None) -> str | None:
        """The code with which it is refused."""
        command = sc.AcquireLock(
            now_ms=self.now_ms,
            lock=lock,
            task=task,
            attempt=self.attempt(task) if attempt is None else attempt,
            number=number,
            entropy=self.random.getrandbits(64),
        )
        return self.send(command).code

    def unlock(self, task: str, lock: str, number: int = 1) -> None:
        command = sc.ReleaseLock(
            now_ms=self.now_ms, lock=lock, task=task, attempt=self.attempt(task), number=number
        )
        assert self.send(command).code is None

    def wait(self, task: str, on: str) -> str | None:
        command = sc.BeginWait(
            now_ms=self.now_ms,
            task=task,
            attempt=self.attempt(task),
            on=on,
            entropy=self.random.getrandbits(64),
        )
        return self.send(command).code

    def end_wait(self, task: str, on: str) -> None:
        self.send(sc.EndWait(now_ms=self.now_ms, task=task, attempt=self.attempt(task), on=on))

    def delegate(self, task: str, **fields: object) -> str:
        name = str(fields.pop("id", None) or self.name("sub"))
        self.answer = self.send(
            sc.DelegateTask(
                now_ms=self.now_ms,
                task=task,
                attempt=self.attempt(task),
                spec=TaskSpec(id=name, **fields),
            )
        )
        return name

    def holder(self, lock: str) -> str | None:
        found = self.state.supervised.locks.get(lock)
        return None if found is None or found.holder is None else found.holder[0]

    # By chance ---------------------------------------------------------------------------------

    def _open(self) -> list[str]:
        able = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
        return [name for name, task in self.state.tasks.items() if task.status in able]

    def ask_for_lock(self) -> None:
        """One of few locks, asked for or given back by an attempt that may be stale."""
        running = self._open()
        if not running:
            return
        task = self.random.choice(running)
        lock = self.random.choice(("x", "x", "y"))
        known = self.state.supervised.locks.get(lock)
        entries = [] if known is None else [*known.queue, *filter(None, (known.holder,))]
        mine = [entry for entry in entries if entry[0] == task]
        stale = self.random.choice((0, 0, 0, 1))
        if mine and self.random.random() < 0.6:
            number = mine[0][2] - stale
            self.send(
                sc.ReleaseLock(
                    now_ms=self.now_ms, lock=lock, task=task, attempt=mine[0][1], number=number
                )
            )
        else:
            number = mine[0][2] if mine else self.random.randint(1, 5)
            self.lock(task, lock, number, self.attempt(task) - stale)

    def ask_for_result(self) -> None:
        """Of any task, a new one of its own among them; or no more."""
        running = self._open()
        if not running:
            return
        task, chance = self.random.choice(running), self.random.random()
        waits = list(self.state.supervised.waits.get(task, ()))
        if waits and chance < 0.4:
            self.end_wait(task, self.random.choice(waits))
        elif chance < 0.6:
            self.wait(task, self.delegate(task, capabilities=self.random.choice(((), ("python",)))))
        elif chance < 0.7:
            self.delegate(task, id=self.random.choice(list(self.state.tasks)))
        else:
            self.wait(task, self.random.choice([*self.state.tasks, "task_no"]))

    def ask_circuit(self) -> None:
        """Of what some code calls, or would like to."""
        name = self.random.choice(("provider:acme", *["tool:lint"] * 6, "nothing"))
        if self.random.random() < 0.4:
            self.send(sc.TryCircuit(now_ms=self.now_ms, circuit=name))
        else:
            how = self.random.choice((True, *[False] * 14, None))
            self.send(sc.ReportOutcome(now_ms=self.now_ms, circuit=name, succeeded=how))

    def close_circuit(self) -> None:
        """Somebody closes one, mostly of an agent, or one that has counted nothing."""
        known = [*self.state.supervised.circuits] or ["agent:none"]
        self.send(
            sc.ResetCircuit(
                now_ms=self.now_ms,
                circuit=self.random.choice(known),
                command=self.random.choice((None, self.name("c"))),
            )
        )

    def look_at_waits(self) -> None:
        """What the ticker does now and then."""
        self.send(c.Tick(now_ms=self.now_ms, entropy=self.random.getrandbits(64), waits=True))

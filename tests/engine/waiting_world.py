"""What attempts ask of the swarm: locks, tasks of their own making, and results."""

from tests.engine.world import World
from visionflow.domain import supervision_commands as sc
from visionflow.domain.tasks import TaskSpec


class Asking(World):
    """A calm world whose attempts ask."""

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

"""Faults: what befalls the simulated machine, when, and how often, drawn from the seed.

A worker that dies too often by itself is not started again, and a task under which workers die
too often is given up; both are right. So that every task has one right outcome all the same, the
faults that count as a worker's own death are few in one seed.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

from visionflow.domain import supervision_commands as sc
from visionflow.domain.errors import BusClosed, Refused, VisionFlowError
from visionflow.domain.tasks import TaskStatus
from visionflow.ports.host import Exit
from visionflow.runtime.node import Node
from visionflow.testing.simulator.kernel import Process
from visionflow.testing.simulator.upkeep import Upkeep
from visionflow.testing.simulator.wire import WorkerEnd
from visionflow.testing.simulator.worker import WorkerNode
from visionflow.testing.simulator.world import World

OWN_DEATHS_MAX = 2
TIMES_MAX = 3
STILL = (
    "orchestrator_stopped",
    "worker_stopped",
    "worker_wakes_late",
    "wire_held",
    "disk_slow",
)
"""While one of these lasts, attempts run out of time for no fault of theirs."""


class Faults:
    """Draws a plan and carries it out."""

    def __init__(self, world: World, span_ms: int, own_deaths: int) -> None:
        """`own_deaths` are those that the workload brings along."""
        self.world = world
        self.counts: Counter[str] = Counter()
        self.until_ms = span_ms
        self._kernel = world.kernel
        self._own_deaths = own_deaths
        kinds: tuple[Callable[[], bool], ...] = (
            self.orchestrator_killed,
            self.orchestrator_killed_between_callbacks,
            self.orchestrator_killed_at_a_port,
            self.orchestrator_stopped,
            self.worker_killed,
            self.worker_killed_at_a_port,
            self.worker_crashed,
            self.worker_stopped,
            self.worker_refused,
            self.wire_cut,
            self.wire_cut_at_a_message,
            self.acknowledgement_lost,
            self.disk_slow,
            self.disk_full,
            self.lid_closed,
            self.clock_set_back,
            self.stranger_at_the_door,
        )
        for kind in kinds:
            if self._kernel.chance(0.4):
                for _ in range(self._kernel.random.randint(1, TIMES_MAX)):
                    at_ms = self._kernel.random.randint(1, span_ms)
                    self._kernel.at_ms(at_ms, self._bring(kind))
        self._recalls = Random(f"recalls at {span_ms} of {own_deaths}")
        """Of its own, so that all else that befalls a seed stays what it is."""
        for _ in range(self._recalls.choice((0, 0, 5, 40))):
            self._kernel.at_ms(
                self._recalls.randint(1, span_ms), self._bring(self.attempts_asked_back)
            )

        self._wakes = Random(f"wakes at {span_ms} of {own_deaths}")
        """Likewise."""
        for _ in range(self._wakes.choice((0, 0, 1, 3))):
            self._kernel.at_ms(self._wakes.randint(1, span_ms), self._bring(self.worker_wakes_late))

        upkeep = Random(f"upkeep at {span_ms} of {own_deaths}")
        Upkeep(world, span_ms, upkeep, self._bring, self._own_death)

        self._ends = Random(f"ends at {span_ms} of {own_deaths}")
        """Likewise."""
        for _ in range(self._ends.choice((0, 0, 1, 2))):
            kind = self._ends.choice((self.orchestrator_upgraded, self.orchestrator_ended))
            self._kernel.at_ms(self._ends.randint(1, span_ms), self._bring(kind))

        self._holds = Random(f"holds at {span_ms} of {own_deaths}")
        """Likewise."""
        for _ in range(self._holds.choice((0, 0, 1, 3))):
            self._kernel.at_ms(self._holds.randint(1, span_ms), self._bring(self.wire_held))

    @property
    def blames(self) -> bool:
        """Whether something stood still, so that attempts may run out of time for no fault."""
        return any(self.counts[name] for name in STILL)

    def _bring(self, kind: Callable[[], bool]) -> Callable[[], None]:
        def bring() -> None:
            if not self.world.closing and kind():
                name: str = getattr(kind, "__name__", "fault")
                self.counts[name] += 1
                self._kernel.trace(f"fault {name}")

        return bring

    def _own_death(self) -> bool:
        self._own_deaths += 1
        return self._own_deaths <= OWN_DEATHS_MAX

    # The orchestrator --------------------------------------------------------------------------

    def orchestrator_killed(self) -> bool:
        """kill -9 at some time."""
        life = self.world.life
        if life is not None:
            life.process.die()
        return life is not None

    def orchestrator_killed_between_callbacks(self) -> bool:
        """kill -9 after so many callbacks, when it is busy."""
        life = self.world.life
        if life is not None:
            life.process.steps_left = self._kernel.random.randint(0, 60)
        return life is not None

    def orchestrator_killed_at_a_port(self) -> bool:
        """kill -9 at its so-many-th use of a port, in the middle of a callback."""
        life = self.world.life
        if life is not None:
            life.process.touches_left = self._kernel.random.randint(0, 40)
        return life is not None

    def orchestrator_upgraded(self) -> bool:
        """Told to end and to leave its workers to the next one."""
        life = self.world.life
        if life is None or life.node is None or not self.world.grace_ms:
            return False
        life.process.start(life.leave())
        return True

    def orchestrator_ended(self) -> bool:
        """Told to end, while work is under way."""
        life = self.world.life
        if life is None or life.node is None:
            return False
        life.process.start(life.end())
        return True

    def orchestrator_stopped(self) -> bool:
        """SIGSTOP and, later, SIGCONT."""
        life = self.world.life
        return life is not None and self._stop(life.process, 50, 8_000)

    # Workers -----------------------------------------------------------------------------------

    def worker_killed(self) -> bool:
        """kill -9 by somebody else."""
        return self._end_worker(Exit(None, "SIGKILL"))

    def worker_killed_at_a_port(self) -> bool:
        """It runs on for some messages."""
        living = self.world.living()
        if not living:
            return False
        node = self._kernel.random.choice(living)
        touches = self._kernel.random.randint(0, 20)
        if not self._may_kill(node):
            return False
        node.process.touches_left = touches
        return True

    def worker_crashed(self) -> bool:
        """It dies by itself."""
        codes = (Exit(None, "SIGSEGV"), Exit(1, None), Exit(87, None))
        return self._own_death() and self._end_worker(self._kernel.random.choice(codes))

    def _end_worker(self, how: Exit) -> bool:
        living = self.world.living()
        if not living:
            return False
        node = self._kernel.random.choice(living)
        if how.signal == "SIGKILL" and not self._may_kill(node):
            return False
        node.ended(how)
        return True

    def _may_kill(self, node: WorkerNode) -> bool:
        """How one ended that lived on from before is told to nobody: it counts as its own death."""
        return node.child is None or not node.child.is_orphan or self._own_death()

    def worker_stopped(self) -> bool:
        """SIGSTOP: short, or so long that it is given up."""
        living = self.world.living()
        if not living:
            return False
        beat_ms = self.world.spec.limits.heartbeat_ms
        node = self._kernel.random.choice(living)
        if self._kernel.chance(0.3) and self._own_death():
            return self._stop(node.process, 3 * beat_ms, 6 * beat_ms)
        return self._stop(node.process, 50, 2 * beat_ms - 200)

    def worker_wakes_late(self) -> bool:
        """SIGSTOP, so long that it is given up; its kill takes long too, and before that it wakes
        up and goes on with what it held."""
        living = self.world.living()
        if not living:
            return False
        process, beat_ms = self._wakes.choice(living).process, self.world.spec.limits.heartbeat_ms
        process.deaf_us = self._wakes.randint(3 * beat_ms, 9 * beat_ms) * 1_000
        process.stop()
        length_us = self._wakes.randint(3 * beat_ms, 5 * beat_ms) * 1_000
        self._kernel.after(length_us, process.resume)
        return True

    def worker_refused(self) -> bool:
        """The machine cannot start the next worker."""
        if not self._own_death():
            return False
        self.world.spawn_refusals += 1
        return True

    def _stop(self, process: Process, low_ms: int, high_ms: int) -> bool:
        process.stop()
        length_us = self._kernel.random.randint(low_ms, high_ms) * 1_000
        self._kernel.after(length_us, process.resume)
        return True

    # Wires and disk ----------------------------------------------------------------------------

    def wire_cut(self) -> bool:
        """A connection breaks; both processes live."""
        hub = self.world.hub
        if hub is None or not hub.links:
            return False
        self._kernel.random.choice(hub.links).cut()
        return True

    def wire_cut_at_a_message(self) -> bool:
        """A connection breaks with a message to the worker or from it, which is lost."""
        hub = self.world.hub
        if hub is None or not hub.links:
            return False
        way = self._kernel.random.randint(0, 1)
        self._kernel.random.choice(hub.links).cut_after[way] = self._kernel.random.randint(0, 5)
        return True

    def wire_held(self) -> bool:
        """Nothing arrives at one end of a connection for a while, nor is it known to be broken:
        one hears and is not heard. Then all of it comes at once, or the connection breaks."""
        hub = self.world.hub
        if hub is None or not hub.links:
            return False
        link, beat_ms = self._holds.choice(hub.links), self.world.spec.limits.heartbeat_ms
        long = self._holds.random() < 0.5 and self._own_death()
        most_ms = 4 * beat_ms if long else 2 * beat_ms - 400
        length_us = self._holds.randint(100, most_ms) * 1_000
        link.hold(self._holds.randint(0, 1), length_us)
        if self._holds.random() < 0.5:
            self._kernel.after(length_us, link.cut)
        return True

    def acknowledgement_lost(self) -> bool:
        """A connection breaks with the next acknowledgement: what it covers is sent again."""
        hub = self.world.hub
        if hub is None or not hub.links:
            return False
        for link in hub.links:
            link.cut_at_ack = True
        return True

    def disk_slow(self) -> bool:
        """Every append takes a hundred times as long, for a while."""
        self.world.disk.slow = self._kernel.random.choice((10, 100, 400))
        self._kernel.after(self._kernel.random.randint(100, 4_000) * 1_000, self._disk_heals)
        return True

    def _disk_heals(self) -> None:
        self.world.disk.slow = 1

    def disk_full(self) -> bool:
        """One append fails."""
        self.world.disk.appends_until_failure = self._kernel.random.randint(0, 10)
        return True

    # Recalls -----------------------------------------------------------------------------------

    def attempts_asked_back(self) -> bool:
        """Somebody balances the load: some of what was given out is asked back, begun or not."""
        life, share = self.world.life, self._recalls.choice((0.1, 0.5, 1.0))
        if life is None or life.node is None:
            return False
        life.process.call(self._ask_back, life.node, share)
        return True

    def _ask_back(self, node: Node, share: float) -> None:
        """In the orchestrator's process."""
        for name, task in list(node.control.state.tasks.items()):
            if task.status is TaskStatus.ASSIGNED and self._recalls.random() < share:
                recall = sc.RecallAttempt(
                    now_ms=node.intake.now_ms(), task=name, attempt=task.attempt, reason="balance"
                )
                with suppress(VisionFlowError):
                    node.control.offer(recall)

    # Clocks ------------------------------------------------------------------------------------

    def lid_closed(self) -> bool:
        """The machine sleeps; some clocks count that and some do not."""
        gap_ms = self._kernel.random.choice((1_000, 20_000, 90_000))
        self._kernel.set_clock(gap_ms)
        if self._kernel.chance(0.5):
            self._kernel.slept_ms += gap_ms
        return True

    def clock_set_back(self) -> bool:
        """Somebody corrects the clock on the wall."""
        self._kernel.set_clock(-self._kernel.random.choice((10, 2_000, 15_000)))
        return True

    # Strangers ---------------------------------------------------------------------------------

    def stranger_at_the_door(self) -> bool:
        """A process that knows everything of a worker but its secret dials in."""
        hub, living = self.world.hub, self.world.living()
        if hub is None or not living:
            return False
        node = self._kernel.random.choice(living)
        stranger = self._kernel.process("stranger")
        end = WorkerEnd(stranger, lambda: None)
        order, pid = node.order, node.process.pid
        try:
            hub.admit(end, order.worker, order.incarnation, "0" * 32, pid)
        except (Refused, BusClosed):
            return True
        self._kernel.fault(f"a stranger is taken for {order.worker}.{order.incarnation}")
        return True

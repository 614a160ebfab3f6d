"""What supervision meets in the simulated machine: processes that leak and that run out of memory,
and people who restart agents. Drawn from the seed by a source of its own, so that all else that
befalls a seed stays what it is.
"""

from collections.abc import Callable
from contextlib import suppress
from random import Random

from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.tasks import FailureKind
from visionflow.ports.host import Exit
from visionflow.runtime.node import Node
from visionflow.testing.simulator.worker import WorkerNode
from visionflow.testing.simulator.world import World
from visionflow.worker import exits


class Upkeep:
    """Draws a plan and carries it out."""

    def __init__(
        self,
        world: World,
        span_ms: int,
        source: Random,
        bring: Callable[[Callable[[], bool]], Callable[[], None]],
        own_death: Callable[[], bool],
    ) -> None:
        """`own_death`: whether a worker may die by itself once more."""
        self._own_death = own_death
        self._world = world
        self._random = source
        for kind in (self.worker_leaks, self.worker_out_of_memory, self.agent_restarted):
            for _ in range(source.choice((0, 0, 1, 4))):
                world.kernel.at_ms(source.randint(1, span_ms), bring(kind))

    def _alone(self) -> list[WorkerNode]:
        """Living processes that have a ceiling."""
        return [node for node in self._world.living() if node.order.memory_bytes is not None]

    def worker_leaks(self) -> bool:
        """It holds nearly all that it may: to be drained and replaced."""
        found = self._alone()
        if found:
            node = self._random.choice(found)
            node.resident_bytes = (node.order.memory_bytes or 0) * 95 // 100
        return bool(found)

    def worker_out_of_memory(self) -> bool:
        """It reaches its ceiling; its last words arrive, or it is killed before it can say them."""
        found = self._alone()
        # Of a process that outlived its orchestrator nobody is told the code with which it ended.
        if not found or (self._world.grace_ms and not self._own_death()):
            return False
        node, reason = self._random.choice(found), "it held too much"
        if node.session is not None and self._random.random() < 0.7:
            end = node.session.fail_all_and_end
            node.process.call(end, FailureKind.RESOURCES, reason, exits.MEMORY)
        else:
            node.ended(Exit(exits.MEMORY, None))
        return True

    def agent_restarted(self) -> bool:
        """Somebody restarts an agent, whatever it is at."""
        life = self._world.life
        if life is None or life.node is None:
            return False
        life.process.call(self._restart, life.node, self._random.random() < 0.5)
        return True

    def _restart(self, node: Node, drain: bool) -> None:
        """In the orchestrator's process."""
        agents = node.control.state.agents
        failed = [n for n, agent in agents.items() if agent.status is AgentStatus.FAILED]
        found = failed if failed and self._random.random() < 0.5 else list(agents)
        if not found:
            return
        command = sc.RestartAgent(
            now_ms=node.intake.now_ms(), agent=self._random.choice(found), drain=drain
        )
        with suppress(VisionFlowError):
            node.control.offer(command)

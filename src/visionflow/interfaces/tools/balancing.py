"""The tool load_balance: what was given out and has not begun goes to those who can begin it.

What waits in the queue belongs to nobody and needs no balancing. What an agent was given ahead is
asked back from its worker, which alone knows whether it has begun: one that has stays where it is,
so no task is ever done by two.
"""

import asyncio
from collections import Counter
from enum import StrEnum
from typing import Annotated

from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import FailureKind, TaskStatus
from visionflow.engine.balancing import Kept, Move, evened, specialised
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

BALANCE = "load_balance"
MOVES_MAX = 1_000
LISTED_MAX = 200
WAIT_S = 5.0
LOOK_S = 0.02
RUNS, PINNED = "it has begun", "it is meant for this agent alone"
COMING, ENDING = "it was asked back before", "it is being cancelled"


class Strategy(StrEnum):
    """What decides on where an attempt should be."""

    EVEN = "even_distribution"
    CAPABILITY = "capability"


class Outcome(StrEnum):
    """What became of an attempt that was asked back."""

    ASKED = "asked"
    """Its worker has not answered yet."""
    MOVED = "moved"
    RETURNED = "returned"
    """It came back, and its agent was given it again: by then it suited best."""
    QUEUED = "queued"
    """It came back, and nobody has room."""
    BEGAN = "began"
    ENDED = "ended"
    """It began, and has ended."""


class LoadBalance(Arguments, frozen=True, kw_only=True):
    """Arguments of load_balance."""

    strategy: Annotated[
        Strategy, about("Even by tasks held, or capability: to the best specialist.")
    ] = Strategy.EVEN
    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None
    wait: Annotated[bool, about("Wait for the workers' answers, at most 5 s.")] = False


class MovedTask(Result, frozen=True, kw_only=True):
    """A task that was asked back."""

    task_id: str
    from_agent: str
    to_agent: str | None
    """Who has it then; null while that is not known."""
    outcome: str
    """asked, moved, returned, queued, began or ended."""


class Stayed(Result, frozen=True, kw_only=True):
    """Tasks that stay where they are."""

    reason: str
    count: int


class AgentLoad(Result, frozen=True, kw_only=True):
    """What an agent held before, and holds now."""

    agent_id: str
    before: int
    now: int


class Balanced(Result, frozen=True, kw_only=True):
    """What was asked back, what came of it, and what stays and why."""

    swarm_id: str
    strategy: str
    asked: int
    moved: int | None
    """Null until all have answered: ask with wait."""
    tasks: list[MovedTask]
    """At most `LISTED_MAX` of those asked back."""
    stayed: list[Stayed]
    queued: int
    """Tasks that belong to nobody: the next with room takes them."""
    agents: list[AgentLoad]


class Asking:
    """Follows what becomes of attempts that are asked back, by what is durable."""

    def __init__(self, swarm: LiveSwarm, moves: list[Move]) -> None:
        self._swarm = swarm
        self.attempts = {move.task: swarm.state.tasks[move.task].attempt for move in moves}
        self.holders = {move.task: move.holder for move in moves}
        self.outcomes: dict[str, Outcome] = {}
        self.takers: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        swarm.node.control.on_commit.append(self._committed)

    async def ask(self, reason: str) -> None:
        """Ask for each of them; returns once that is durable."""
        swarm = self._swarm

        async def one(task: str, attempt: int) -> None:
            recall = sc.RecallAttempt(
                now_ms=swarm.now_ms, task=task, attempt=attempt, reason=reason
            )
            try:
                await swarm.ask(sound(recall))
            except Refused as error:
                self.refused[RUNS if error.reason == "already_begun" else "it has ended"] += 1
            else:
                self.outcomes.setdefault(task, Outcome.ASKED)

        await asyncio.gather(*(one(task, attempt) for task, attempt in self.attempts.items()))

    async def answered(self, call: Call) -> None:
        """Wait until every worker has answered, the time is over, or nobody waits any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + WAIT_S
        while Outcome.ASKED in self.outcomes.values() and loop.time() < until:
            if call.cancelled.is_set() or self._swarm.node.control.failure is not None:
                return
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Follow nothing more."""
        self._swarm.node.control.on_commit.remove(self._committed)

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            task = getattr(event, "task", None)
            if task is not None and task in self.attempts:
                self._see(event, task)

    def _see(self, event: AnyEvent, task: str) -> None:
        attempt, known = self.attempts[task], self.outcomes.get(task)
        if isinstance(event, e.TaskAssigned):
            if event.attempt == attempt + 1 and known is Outcome.QUEUED:
                self.takers[task] = event.agent
                again = event.agent == self.holders[task]
                self.outcomes[task] = Outcome.RETURNED if again else Outcome.MOVED
        elif known in (None, Outcome.ASKED, Outcome.BEGAN):
            if isinstance(event, e.AttemptFailed) and event.attempt == attempt:
                back = event.kind is FailureKind.RECALLED
                self.outcomes[task] = Outcome.QUEUED if back else Outcome.ENDED
            elif isinstance(event, e.TaskStarted) and event.attempt == attempt:
                self.outcomes[task] = Outcome.BEGAN
            elif isinstance(event, e.TaskCompleted) and event.attempt == attempt:
                self.outcomes[task] = Outcome.ENDED


def balancing(server: Server) -> AnyTool:
    """load_balance."""

    async def run(call: Call, given: LoadBalance) -> Balanced:
        swarm = open_swarm(server, call, given.swarm_id)
        state = swarm.state
        before = {name: len(agent.open) for name, agent in state.agents.items()}
        plan = evened if given.strategy is Strategy.EVEN else specialised
        moves, kept = plan(state, MOVES_MAX)
        stayed = _staying(swarm, kept)
        asking = Asking(swarm, moves)
        try:
            await recorded(
                server,
                call,
                BALANCE,
                lambda: asking.ask(f"{BALANCE} {given.strategy} by {call.caller.name}"),
                swarm=swarm,
                subject=swarm.id,
                command=command_id(call, BALANCE),
            )
            if given.wait:
                call.took_effect()
                await asking.answered(call)
        finally:
            asking.close()
        stayed.update(asking.refused)
        call.saw(swarm)
        return _told(swarm, given, asking, stayed, before)

    return Tool(
        name=BALANCE,
        group="tasks",
        summary="Have what agents were given ahead and have not begun done by others with room.",
        arguments=LoadBalance,
        result=Balanced,
        roles=OPERATORS,
        run=run,
        example={"strategy": "even_distribution"},
        positional=("strategy",),
    )


def _staying(swarm: LiveSwarm, kept: list[Kept]) -> Counter[str]:
    """Why attempts that are out stay where they are, with how many."""
    found = Counter(each.why for each in kept)
    recalling = swarm.state.supervised.recalling
    for agent in swarm.state.agents.values():
        for name in agent.open:
            task = swarm.state.tasks[name]
            if task.status is TaskStatus.RUNNING:
                found[RUNS] += 1
            elif task.cancelling is not None:
                found[ENDING] += 1
            elif name in recalling:
                found[COMING] += 1
            elif task.spec.agent is not None:
                found[PINNED] += 1
    return found


def _told(
    swarm: LiveSwarm,
    given: LoadBalance,
    asking: Asking,
    stayed: Counter[str],
    before: dict[str, int],
) -> Balanced:
    outcomes, state = asking.outcomes, swarm.state
    answered = Outcome.ASKED not in outcomes.values()
    moved = sum(outcome is Outcome.MOVED for outcome in outcomes.values())
    return Balanced(
        swarm_id=swarm.id,
        strategy=given.strategy,
        asked=len(outcomes),
        moved=moved if answered else None,
        tasks=[
            MovedTask(
                task_id=task,
                from_agent=asking.holders[task],
                to_agent=asking.takers.get(task),
                outcome=outcome,
            )
            for task, outcome in list(outcomes.items())[:LISTED_MAX]
        ],
        stayed=[Stayed(reason=reason, count=count) for reason, count in stayed.items()],
        queued=len(state.matching),
        agents=[
            AgentLoad(
                agent_id=name,
                before=before.get(name, 0),
                now=len(agent.open),
            )
            for name, agent in state.agents.items()
        ],
    )

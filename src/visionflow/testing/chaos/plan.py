"""The plan of a run of chaos: what is asked for, and what goes wrong when, all drawn from a seed.

Faults come at counts of finished tasks, not at times, and hit whoever has the drawn rank among the
living: so the choices repeat, however fast the machine is. What they lead to may differ.
"""

import random
from enum import StrEnum

import msgspec

from visionflow.testing.workload import Script

FAULTS_PER_MINUTE = 21
TASKS_PER_MINUTE = 1_000
AGENTS = 8
SPARE = 4
"""So many agents more may be there than are spawned."""
HEARTBEAT_MS = 5_000
"""What holds for a server's swarms."""
NUMBER_MAX = 10**6
LONG = 0.04
"""This share of the tasks takes seconds."""
BUSY = 0.5
"""This share of the agents' time is work, so that faults meet some, however few the tasks are."""
STRETCH_MAX = 4.0
"""So much longer than drawn may tasks be made for that."""
WATCHED = 0.05
"""Of this share somebody waits for the result."""


class Fault(StrEnum):
    """What may be done to the processes of a server."""

    WORKER_KILLED = "worker_killed"
    """SIGKILL."""
    WORKER_HUNG = "worker_hung"
    """SIGSTOP, until long after it was given up; then it is woken."""
    WORKER_PAUSED = "worker_paused"
    """SIGSTOP for less than a heartbeat."""
    WORKER_STARVED = "worker_starved"
    """It gets a tenth of a processor for some seconds, stop by stop."""
    WORKER_CUT = "worker_cut"
    """Its connections are shut down, under its feet."""
    SERVER_KILLED = "server_killed"
    """SIGKILL; its front starts it again."""
    SERVER_PAUSED = "server_paused"
    """SIGSTOP for some seconds."""
    SERVER_ENDED = "server_ended"
    """SIGTERM to its front: it ends in order, and is started again."""
    SERVER_UPGRADED = "server_upgraded"
    """The same of one that leaves its workers at work, for the next one to adopt."""
    FRONT_KILLED = "front_killed"
    """SIGKILL to the front, and a new one is started."""


DECK = (
    *(Fault.WORKER_KILLED,) * 5,
    *(Fault.WORKER_CUT,) * 4,
    *(Fault.WORKER_PAUSED,) * 2,
    *(Fault.WORKER_STARVED,) * 2,
    *(Fault.WORKER_HUNG,) * 2,
    *(Fault.SERVER_KILLED,) * 2,
    Fault.SERVER_PAUSED,
    Fault.SERVER_ENDED,
    Fault.SERVER_UPGRADED,
    Fault.FRONT_KILLED,
)
ENDS = (Fault.SERVER_ENDED, Fault.SERVER_UPGRADED)
"""Shuffled and dealt out once a minute, so that each minute meets every kind."""
LASTS_MS: dict[Fault, tuple[int, int]] = {
    Fault.WORKER_HUNG: (3 * HEARTBEAT_MS + 2_000, 4 * HEARTBEAT_MS),
    Fault.WORKER_PAUSED: (200, HEARTBEAT_MS - 1_000),
    Fault.WORKER_STARVED: (1_000, 5_000),
    Fault.SERVER_PAUSED: (500, 6_000),
}


class Order(msgspec.Struct, frozen=True):
    """What a run of chaos is to be."""

    seed: int
    duration_s: float = 60.0
    """Tasks are asked for over this time."""
    tasks: int = TASKS_PER_MINUTE
    agents: int = AGENTS

    @property
    def again(self) -> str:
        """The command that makes the same choices."""
        return (
            f"visionflow chaos --seed {self.seed} --duration {self.duration_s:g}s "
            f"--tasks {self.tasks} --agents {self.agents}"
        )


class Work(msgspec.Struct, frozen=True):
    """One task."""

    number: int
    """From 0 on."""
    script: Script
    alone: bool
    """For an agent with a process of its own, not one that shares it."""
    watched: bool
    """Somebody waits for its result."""


class Stroke(msgspec.Struct, frozen=True):
    """One fault."""

    number: int
    at: int
    """It comes once so many tasks have ended."""
    fault: Fault
    rank: int
    """Which of the living it hits: by name, counted round and round."""
    lasts_ms: int = 0


class Plan(msgspec.Struct, frozen=True):
    """All that is decided before anything begins."""

    works: tuple[Work, ...]
    strokes: tuple[Stroke, ...]


def make_plan(order: Order) -> Plan:
    """The same for the same order."""
    return Plan(_works(order), _strokes(order))


def _works(order: Order) -> tuple[Work, ...]:
    chance = random.Random(f"works of {order.seed}")
    made: list[Work] = []
    for number in range(order.tasks):
        script, drawn = _script(chance), chance.random()
        if order.agents < 2 and script.how == "eat":
            # Nobody has a process of its own, and so nobody a ceiling.
            script = msgspec.structs.replace(script, fails=0)
        alone = order.agents > 1 and (script.how == "eat" or drawn < 0.25)
        watched = chance.random() < WATCHED
        made.append(Work(number, script, alone, watched))
    drawn_ms = sum(work.script.ms * max(1, work.script.steps) for work in made)
    wanted_ms = BUSY * order.agents * order.duration_s * 1_000
    stretch = min(STRETCH_MAX, max(1.0, wanted_ms / max(1, drawn_ms)))
    return tuple(_stretched(work, stretch) for work in made)


def _stretched(work: Work, stretch: float) -> Work:
    script = msgspec.structs.replace(work.script, ms=round(work.script.ms * stretch))
    return msgspec.structs.replace(work, script=script)


def _script(chance: random.Random) -> Script:
    number = chance.randint(1, NUMBER_MAX)
    steps = chance.randint(1, 3) if chance.random() < 0.3 else 0
    ms = chance.choice((0, 2, 5, 20, 60, 150, 400)) // max(1, steps)
    if chance.random() < LONG:
        ms = chance.randint(800, 2_500)
    fails, how, drawn = 0, "error", chance.random()
    if drawn < 0.08:
        fails = chance.choice((1, 1, 1, 2, 3))
    elif drawn < 0.09:
        fails, how = 3, "permanent"
    elif drawn < 0.095:
        fails, how = 1, "crash"
    elif drawn < 0.098:
        fails, how = 1, "eat"
    return Script(number, ms, fails, how, steps, large=chance.random() < 0.02)


def _strokes(order: Order) -> tuple[Stroke, ...]:
    chance = random.Random(f"strokes of {order.seed}")
    count = max(1, round(FAULTS_PER_MINUTE * order.duration_s / 60))
    dealt: list[Fault] = []
    while len(dealt) < count:
        dealt.extend(chance.sample(DECK, len(DECK)))
    found: list[Stroke] = []
    for number, fault in enumerate(dealt[:count]):
        share = 0.02 + 0.93 * (number + chance.random()) / count
        low_ms, high_ms = LASTS_MS.get(fault, (0, 0))
        found.append(
            Stroke(
                number,
                int(share * order.tasks),
                fault,
                chance.randrange(1_000),
                chance.randint(low_ms, high_ms),
            )
        )
    return tuple(found)

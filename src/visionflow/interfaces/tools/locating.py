"""From the id of a task to the swarm that has it, and to what is known of it.

A task is looked for in the live state first; what ended long ago is in the views.
"""

import re

from visionflow.domain.errors import UnknownSwarm, UnknownTask
from visionflow.engine.state import TaskState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.finding import no_swarm, readable_swarm
from visionflow.interfaces.tools.tool import Call
from visionflow.ports.views import AttemptRow, TaskRow
from visionflow.runtime.ended import AnySwarm, EndedSwarm
from visionflow.runtime.swarms import LiveSwarm

ENDED_LOOKED_AT_MAX = 20
_MADE = re.compile(r"[a-z]+_(\d{1,15})_")


def places(server: Server, call: Call, swarm: str | None) -> list[AnySwarm]:
    """Where to look: in this swarm, over or not, or in all that are not, the latest first.

    Raises:
        UnknownSwarm: there is none of this id.
    """
    if swarm is not None:
        return [readable_swarm(server, call, swarm)]
    return list(reversed(server.swarms.all()))


def ended_since(server: Server, call: Call, name: str) -> list[EndedSwarm]:
    """Swarms that are over and may have had what has this id, the latest first: those that ended
    after it was made. Only some: each costs opening a file."""
    made = _MADE.match(name)
    if made is None:
        return []
    call.saw(server.fleet)
    return server.ended.since(int(made[1]), ENDED_LOOKED_AT_MAX)


def unknown(task: str, swarm: str | None) -> UnknownTask:
    """There is no such task."""
    where = "" if swarm is None else f" in swarm {swarm}"
    return UnknownTask(
        f"There is no task {task[:100]!r}{where}.",
        hint="task_list has those that there are.",
        ids={"taskId": task[:100]},
    )


def living(looked: list[AnySwarm], task: str) -> tuple[AnySwarm, TaskState] | None:
    """The task where it is in the state of one of these."""
    for swarm in looked:
        found = swarm.state.tasks.get(task)
        if found is not None:
            return swarm, found
    return None


async def live_place_of(server: Server, call: Call, task: str, swarm: str | None) -> LiveSwarm:
    """The swarm that has this task, to change something there.

    Raises:
        UnknownSwarm: there is none of this id, or it is over.
        UnknownTask: there never was such a task.
    """
    found = await place_of(server, call, task, swarm)
    if isinstance(found, EndedSwarm):
        raise no_swarm(server, found.id)
    return found


async def place_of(server: Server, call: Call, task: str, swarm: str | None) -> AnySwarm:
    """The swarm that has this task, however long ago that ended; the swarm may be over too.

    Raises:
        UnknownSwarm: there is none of this id.
        UnknownTask: there never was such a task.
    """
    looked = places(server, call, swarm)
    for each in looked:
        if task in each.state.tasks or task in each.state.finished:
            await each.settled()
            return each
    if swarm is None:
        looked += ended_since(server, call, task)
    for each in looked:
        try:
            await each.read(lambda queries: queries.task(task))
        except (UnknownTask, UnknownSwarm):  # Or it ended while another was looked at.
            continue
        return each
    raise unknown(task, swarm)


async def story_of(swarm: AnySwarm, task: str) -> tuple[TaskRow, list[AttemptRow]]:
    """A task and its attempts, up to all that the state holds now.

    Raises:
        UnknownTask: there is no such task here.
    """
    await swarm.settled()
    return await swarm.read(lambda queries: queries.story(task))


async def parts_of(swarm: AnySwarm, root: TaskRow) -> list[TaskRow]:
    """The parts of a plan, phase by phase, in their order."""
    order = [task for _, tasks in root.phases for task in tasks]
    rows = await swarm.read(lambda queries: queries.parts(root.id))
    return [rows[task] for task in order if task in rows]


async def agent_in(swarm: AnySwarm, word: str) -> str:
    """The id of the agent of this name, a living one first, the latest of several; else the word
    itself."""
    found = agent_named(swarm, word)
    if found == word and word not in swarm.state.agents:
        rows = await swarm.read(lambda queries: queries.agents())
        named = [row for row in rows if row.name == word]
        if named and all(row.id != word for row in rows):
            return max(named, key=lambda row: row.spawned_ms).id
    return found


def agent_named(swarm: AnySwarm, word: str) -> str:
    """The id of the living agent of this name, the latest of several; else the word itself."""
    if word not in swarm.state.agents:
        for name, agent in reversed(swarm.state.agents.items()):
            if agent.spec.name == word:
                return name
    return word

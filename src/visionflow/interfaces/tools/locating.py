"""From the id of a task to the swarm that has it, and to what is known of it.

A task is looked for in the live state first; what ended long ago is in the views.
"""

from visionflow.domain.errors import UnknownSwarm, UnknownTask
from visionflow.engine.state import TaskState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.tool import Call
from visionflow.ports.views import AttemptRow, TaskRow
from visionflow.runtime.swarms import LiveSwarm


def places(server: Server, call: Call, swarm: str | None) -> list[LiveSwarm]:
    """Where to look: in this swarm, or in all, the latest first.

    Raises:
        UnknownSwarm: there is none of this id.
    """
    if swarm is not None:
        return [open_swarm(server, call, swarm)]
    return list(reversed(server.swarms.all()))


def unknown(task: str, swarm: str | None) -> UnknownTask:
    """There is no such task."""
    where = "" if swarm is None else f" in swarm {swarm}"
    return UnknownTask(
        f"There is no task {task[:100]!r}{where}.",
        hint="task_list has those that there are.",
        ids={"taskId": task[:100]},
    )


def living(looked: list[LiveSwarm], task: str) -> tuple[LiveSwarm, TaskState] | None:
    """The task where it is in the state of one of these."""
    for swarm in looked:
        found = swarm.state.tasks.get(task)
        if found is not None:
            return swarm, found
    return None


async def place_of(server: Server, call: Call, task: str, swarm: str | None) -> LiveSwarm:
    """The swarm that has this task, however long ago it ended.

    Raises:
        UnknownSwarm: there is none of this id.
        UnknownTask: there never was such a task.
    """
    looked = places(server, call, swarm)
    for each in looked:
        if task in each.state.tasks or task in each.state.finished:
            await each.settled()
            return each
    for each in looked:
        try:
            await each.read(lambda queries: queries.task(task))
        except (UnknownTask, UnknownSwarm):  # Or it ended while another was looked at.
            continue
        return each
    raise unknown(task, swarm)


async def story_of(swarm: LiveSwarm, task: str) -> tuple[TaskRow, list[AttemptRow]]:
    """A task and its attempts, up to all that the state holds now.

    Raises:
        UnknownTask: there is no such task here.
    """
    await swarm.settled()
    return await swarm.read(lambda queries: queries.story(task))


async def parts_of(swarm: LiveSwarm, root: TaskRow) -> list[TaskRow]:
    """The parts of a plan, phase by phase, in their order."""
    order = [task for _, tasks in root.phases for task in tasks]
    rows = await swarm.read(lambda queries: queries.parts(root.id))
    return [rows[task] for task in order if task in rows]


def agent_named(swarm: LiveSwarm, word: str) -> str:
    """The id of the living agent of this name, the latest of several; else the word itself."""
    if word not in swarm.state.agents:
        for name, agent in reversed(swarm.state.agents.items()):
            if agent.spec.name == word:
                return name
    return word

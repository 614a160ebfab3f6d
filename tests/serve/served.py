"""A core in a loop, for tests: settings of its own, agents of these tests, tasks and results."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TaskSpec
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import pack, unpack
from visionflow.runtime.swarms import LiveSwarm
from visionflow.settings.server import ServerSettings

T = TypeVar("T")
HERE = Path(__file__).parent
PATIENCE_S = 60.0
"""A test that waits longer has failed."""


def settings_in(folder: Path, **more: Any) -> ServerSettings:
    """Settings of a server that keeps everything below this folder, on ports that are free."""
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "home": str(folder / "home"),
        "workspaces": (str(workspace),),
        "tcp_port": 0,
        "web_port": 0,
    }
    return ServerSettings(**{**given, **more})


def with_core(
    settings: ServerSettings,
    use: Callable[[OpenServer], Awaitable[T]],
    patience_s: float = PATIENCE_S,
) -> T:
    """Open a core, use it, close it; all within bounds of time."""

    async def run() -> T:
        core = await open_server(settings)
        try:
            return await asyncio.wait_for(use(core), patience_s)
        finally:
            await asyncio.wait_for(core.close(), PATIENCE_S)

    return asyncio.run(run())


async def new_swarm(opened: OpenServer, name: str = "swarm_1", agents_max: int = 20) -> LiveSwarm:
    """A swarm of this id. Its agents may fail on purpose without being left out for a while."""
    limits = Limits(agents_max=agents_max, circuit_failures=1_000)
    spec = SwarmSpec(id=name, limits=limits)
    return await opened.server.swarms.create(spec, "tests")


async def spawn(
    swarm: LiveSwarm, agent_class: str, capabilities: tuple[str, ...] = (), ready: bool = True
) -> str:
    """An agent of a class of `serve_agents.py`; its id, once it is ready."""
    command = swarm.node.intake.agent(
        agent_class.lower(),
        f"{HERE / 'serve_agents.py'}:{agent_class}",
        capabilities=capabilities or (agent_class.lower(),),
    )
    await swarm.ask(command)
    if ready:
        await until(lambda: status_of(swarm, command.spec.id) is AgentStatus.READY)
    return command.spec.id


def status_of(swarm: LiveSwarm, agent: str) -> AgentStatus | None:
    """How an agent is."""
    found = swarm.state.agents.get(agent)
    return None if found is None else found.status


async def submit(swarm: LiveSwarm, capability: str, given: object = None, **more: Any) -> str:
    """A task for agents of this capability; its id, once it is durable."""
    intake = swarm.node.intake
    spec = TaskSpec(
        id=intake.new_id("task"),
        type="task",
        input=pack(given, "the input", intake.blobs),
        capabilities=(capability,),
        **more,
    )
    await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=spec))
    return spec.id


async def ended(swarm: LiveSwarm, task: str) -> Ended:
    """How a task ended."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[Ended] = loop.create_future()

    def hear(ended: Ended | None, error: BaseException | None = None) -> None:
        if not over.done():
            if ended is None:
                over.set_exception(error or RuntimeError("no ending"))
            else:
                over.set_result(ended)

    swarm.node.completions.wait(task, hear)
    return await asyncio.wait_for(over, PATIENCE_S)


async def result_of(swarm: LiveSwarm, task: str) -> Any:
    """The value that a task gave."""
    return unpack((await ended(swarm, task)).result, swarm.node.intake.blobs)


async def until(true: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: it was not.
    """

    async def wait() -> None:
        while not true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), seconds)

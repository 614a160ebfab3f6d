"""Builds and ends agents in this process. What they work on is not looked at here."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from visionflow.agents.base import AgentContext, BaseAgent
from visionflow.agents.loading import is_outdated
from visionflow.domain.agents import AgentSpec
from visionflow.domain.digests import spec_digest
from visionflow.domain.errors import ConfigError
from visionflow.domain.messages import AgentDown, AgentUp, HeldAgent, Message
from visionflow.domain.secrecy import secret_values
from visionflow.ports.blobs import Blobs
from visionflow.worker import values
from visionflow.worker.ballots import with_ballots
from visionflow.worker.batches import BatchLane, takes_batches
from visionflow.worker.hiding import HIDDEN
from visionflow.worker.lanes import Desk, Lane, lane_for
from visionflow.worker.leading import with_leading
from visionflow.worker.mail import PostOffice
from visionflow.worker.telling import REASON_CHARS_MAX, sendable, told

OUTDATED = (
    "It is built anew from {} as this process imported that; its file has changed since. A fresh "
    "process imports it again: that of an agent of its own (resources in its template) at each "
    "agent_restart, a shared one when it is replaced."
)
AGENT_START_MS = 60_000
AGENT_STOP_MS = 2_000


class Office(Desk, Protocol):
    """What hosting needs of the executor, beyond what lanes do."""

    @property
    def blobs(self) -> Blobs:
        """Where large configurations are."""
        ...

    def send(self, message: Message) -> None:
        """Report something that must arrive."""
        ...

    def write_log(self, agent: str | None, level: str, text: str) -> None:
        """A line for the log of an agent."""
        ...

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run something that blocks; awaitable."""
        ...

    @property
    def mail(self) -> PostOffice:
        """The mail of the agents here."""
        ...

    def is_idle(self, agent: str) -> bool:
        """Whether no attempt of an agent is open here."""
        ...


class Hosting:
    """The agents of this process, by id."""

    def __init__(
        self,
        office: Office,
        make_context: Callable[[AgentSpec, Callable[[str, str], None]], AgentContext],
        load: Callable[[str], type[BaseAgent]],
        on_hosted: Callable[[list[str]], None] | None = None,
    ) -> None:
        """`on_hosted` is called with the ids of the agents that are here when that changed."""
        self._office = office
        self._make_context = make_context
        self._load = load
        self._on_hosted = on_hosted
        self._agents: dict[str, tuple[BaseAgent, Lane]] = {}
        self._revisions: dict[str, int] = {}
        """Of each agent that is up or being built: which version of it that is."""
        self._specs: dict[str, str] = {}
        """Of the same: a digest of what it was built as."""
        self.outdated: dict[str, tuple[AgentSpec, int]] = {}
        """Agents to be built anew once they are idle, as what, and which version that is."""
        self._making_since: float | None = None
        self._building: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}

    def find(self, agent: str) -> tuple[BaseAgent, Lane] | None:
        """An agent that is up, and its lane."""
        return self._agents.get(agent)

    def held(self) -> tuple[HeldAgent, ...]:
        """What is up or being built here, and as what."""
        names = sorted([*self._agents, *self._building])
        return tuple(
            HeldAgent(name, self._revisions[name], self._specs[name], name in self._agents)
            for name in names
        )

    def host(self, spec: AgentSpec, revision: int) -> None:
        """Build it, unless that is done (then say so again) or under way.

        A higher revision than the one that is here replaces it, once that is idle."""
        name = spec.id
        if name not in self._agents and name not in self._building:
            self._start(spec, revision, None)
        elif revision > self._revisions[name]:
            self.outdated[name] = (spec, revision)
            self.renew(name)
        elif name in self._agents:
            self._office.send(AgentUp(name, self._revisions[name]))

    def renew(self, agent: str) -> None:
        """Build an agent anew, if that is wanted and it is up and idle."""
        wanted = self.outdated.get(agent)
        if wanted is None or agent not in self._agents or not self._office.is_idle(agent):
            return
        del self.outdated[agent]
        before, _ = self._agents.pop(agent)
        self._office.mail.of(agent).down()
        self._start(*wanted, before)

    def _start(self, spec: AgentSpec, revision: int, before: BaseAgent | None) -> None:
        self._revisions[spec.id] = revision
        self._specs[spec.id] = spec_digest(spec)
        building = self._build(spec, revision, before)
        self._building[spec.id] = self._office.loop.create_task(building)
        self._changed()

    def drop(self, agent: str) -> None:
        """End it, and say so also when it was not here."""
        self.outdated.pop(agent, None)
        self._office.mail.forget(agent)
        building = self._building.pop(agent, None)
        if building is not None:
            building.cancel()
        if agent not in self._ending:
            known = self._agents.pop(agent, None)
            self._ending[agent] = self._office.loop.create_task(self._end(agent, known))
        self._changed()

    def _changed(self) -> None:
        if self._on_hosted is not None:
            self._on_hosted([*self._agents, *self._building])

    async def close(self) -> None:
        """End all agents, without a report."""
        self.outdated.clear()
        for building in list(self._building.values()):
            building.cancel()
        agents, self._agents = list(self._agents.values()), {}
        await asyncio.gather(*[self._stop(agent) for agent, _ in agents])
        await asyncio.gather(*list(self._ending.values()))

    async def _build(self, spec: AgentSpec, revision: int, before: BaseAgent | None) -> None:
        agent: BaseAgent | None = None
        try:
            if before is not None:
                await self._stop(before)
            agent = await self._make(spec)
            if before is not None and is_outdated(spec.class_path):
                self._office.write_log(spec.id, "warning", OUTDATED.format(spec.class_path))
            async with asyncio.timeout(AGENT_START_MS / 1000):
                await agent.start()
        except asyncio.CancelledError:
            if agent is not None:
                await self._stop(agent)
            return
        except BaseException as error:
            reason = _why_not_up(error)
            self._building.pop(spec.id, None)
            self._changed()
            self._office.send(AgentDown(spec.id, reason[:REASON_CHARS_MAX], revision=revision))
            wanted = self.outdated.pop(spec.id, None)
            if wanted is not None:
                self._start(*wanted, None)
            return
        self._building.pop(spec.id, None)
        self._agents[spec.id] = (agent, self._lane(agent, max(1, spec.tasks_max)))
        self._office.send(AgentUp(spec.id, revision))
        self._office.mail.of(spec.id).up(agent)
        self.renew(spec.id)

    def _lane(self, agent: BaseAgent, tasks_max: int) -> Lane:
        office = self._office
        if takes_batches(agent):
            lane: Lane = BatchLane(agent, tasks_max, office, office.send)
        else:
            lane = lane_for(agent, tasks_max, office)
        return with_leading(with_ballots(lane, agent, tasks_max, office), agent, office)

    async def _make(self, spec: AgentSpec) -> BaseAgent:
        blobs = self._office.blobs
        if spec.config.blob is not None:
            config = await self._office.offload(lambda: values.load(spec.config, blobs))
        else:
            config = values.load(spec.config, blobs)
        HIDDEN.add(secret_values(config))
        # Modules are imported in the loop's thread: many expect to be imported in the main one.
        self._making_since = self._office.loop.time()
        try:
            return self._made(spec, self._load(spec.class_path), config)
        finally:
            self._making_since = None

    def overdue_s(self, now: float) -> float:
        """How far an import or `__init__` that holds up the loop is beyond its time. From any
        thread."""
        since = self._making_since
        return -1.0 if since is None else now - since - AGENT_START_MS / 1000

    def _made(self, spec: AgentSpec, agent_class: type[BaseAgent], config: Any) -> BaseAgent:
        def write_log(level: str, text: str) -> None:
            self._office.write_log(spec.id, level, text)

        context = self._make_context(spec, write_log)
        context.post = self._office.mail.of(spec.id)
        settings = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
        return agent_class(spec.id, spec.name, spec.type, settings, context)

    async def _end(self, agent: str, known: tuple[BaseAgent, Lane] | None) -> None:
        if known is not None:
            await self._stop(known[0])
        self._ending.pop(agent, None)
        self._office.send(AgentDown(agent, "It was ended as asked.", ended=True))

    async def _stop(self, agent: BaseAgent) -> None:
        """End it, within twice its time even when it ignores that it is cancelled."""
        loop = self._office.loop
        over: asyncio.Future[None] = loop.create_future()

        def settle(*_: object) -> None:
            if not over.done():
                over.set_result(None)

        stopping = loop.create_task(self._stop_quietly(agent))
        stopping.add_done_callback(settle)
        timers = (
            loop.call_later(AGENT_STOP_MS / 1000, stopping.cancel),
            loop.call_later(2 * AGENT_STOP_MS / 1000, settle),
        )
        try:
            await over
        finally:
            for timer in timers:
                timer.cancel()

    async def _stop_quietly(self, agent: BaseAgent) -> None:
        try:
            await agent.stop()
        except BaseException as error:
            text = "it took too long." if isinstance(error, asyncio.CancelledError) else told(error)
            self._office.write_log(agent.id, "warning", f"Its stop() failed: {text}")


def _why_not_up(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return sendable(error)
    if isinstance(error, TimeoutError) and not error.args:
        return f"Its start() took longer than {AGENT_START_MS} ms."
    return told(error)

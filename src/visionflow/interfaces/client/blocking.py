"""The fleet of a server for a program without a loop: what is awaited in `RemoteFleet` blocks."""

from collections.abc import Iterable, Mapping
from typing import Any

from visionflow.agents.task import Task
from visionflow.interfaces.client.calls import BlockingMCPClient
from visionflow.interfaces.client.remote import RemoteAgent, RemoteFleet, RemoteSwarm
from visionflow.interfaces.tools.votes_told import Vote


class BlockingRemoteFleet:
    """See `RemoteFleet`. From any thread."""

    def __init__(self, fleet: RemoteFleet) -> None:
        """Connects.

        Raises:
            ServerUnreachable: no server answers.
        """
        self._fleet = fleet
        self._client = BlockingMCPClient(fleet.client)
        try:
            self._client.run(fleet.client.connect())
        except BaseException:
            self._client.close()
            raise

    @property
    def client(self) -> BlockingMCPClient:
        """Any tool of the server by its name."""
        return self._client

    def initialize_swarm(
        self,
        topology: str = "hierarchical",
        max_agents: int | None = None,
        strategy: str | None = None,
    ) -> RemoteSwarm:
        """See `RemoteFleet.initialize_swarm`."""
        return self._client.run(self._fleet.initialize_swarm(topology, max_agents, strategy))

    def spawn_agent(
        self, agent_type: str, config: Mapping[str, Any] | None = None, **options: Any
    ) -> RemoteAgent:
        """See `RemoteFleet.spawn_agent`."""
        return self._client.run(self._fleet.spawn_agent(agent_type, config, **options))

    def spawn_agents(self, agents: Iterable[Mapping[str, Any]]) -> list[RemoteAgent]:
        """See `RemoteFleet.spawn_agents`."""
        return self._client.run(self._fleet.spawn_agents(agents))

    def agents(self) -> list[RemoteAgent]:
        """See `RemoteFleet.agents`."""
        return self._client.run(self._fleet.agents())

    def terminate(self, agent: RemoteAgent | str) -> None:
        """See `RemoteFleet.terminate`."""
        self._client.run(self._fleet.terminate(agent))

    def run(self, task: Task, **options: Any) -> Any:
        """See `RemoteFleet.run`."""
        return self._client.run(self._fleet.run(task, **options))

    def map(self, tasks: Iterable[Task]) -> list[Any]:
        """See `RemoteFleet.map`."""
        return self._client.run(self._fleet.map(tasks))

    def vote(self, proposal: str | Mapping[str, Any], **terms: Any) -> Vote:
        """See `RemoteFleet.vote`."""
        return self._client.run(self._fleet.vote(proposal, **terms))

    def vote_of(self, vote: str) -> Vote:
        """See `RemoteFleet.vote_of`."""
        return self._client.run(self._fleet.vote_of(vote))

    def decide_vote(self, vote: str, decision: str) -> Vote:
        """See `RemoteFleet.decide_vote`."""
        return self._client.run(self._fleet.decide_vote(vote, decision))

    def close(self) -> None:
        """End all connections. Harmless the second time."""
        self._client.close()

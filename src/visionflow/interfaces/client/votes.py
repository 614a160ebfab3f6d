"""Votes of a server's swarm, from Python: the words of `interfaces.voting`, over its tool."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.tools.proposing import ALL
from visionflow.interfaces.tools.votes_told import Vote
from visionflow.interfaces.voting import Member, Members, names_in, proposal_in

TOOL = "daa_consensus"
ATTEMPTS = 45
"""So often is a server asked for a result, the more so where it went away: for about a minute."""


class RemoteVotes:
    """What of a `RemoteFleet` is about votes."""

    client: MCPClient
    swarm: str | None

    async def vote(
        self,
        proposal: str | Mapping[str, Any],
        *,
        options: Sequence[Member] | None = None,
        members: Members = ALL,
        mechanism: str | None = None,
        threshold: float | None = None,
        timeout: float | None = None,
    ) -> Vote:
        """See `Fleet.vote`. A server that dies meanwhile is asked for the same vote when it is
        back."""
        given = proposal_in(
            proposal, options, voting_mechanism=mechanism, threshold=threshold, timeout=timeout
        )
        return await self._voted(proposal=given, agents=names_in(members, "members"), wait=True)

    async def vote_of(self, vote: str) -> Vote:
        """See `Fleet.vote_of`."""
        return await self._voted(voteId=vote, wait=False)

    async def decide_vote(self, vote: str, decision: str) -> Vote:
        """See `Fleet.decide_vote`. Who says so is who this client is."""
        return await self._voted(voteId=vote, decision=decision, wait=False)

    async def _voted(self, **arguments: Any) -> Vote:
        if self.swarm is not None:
            arguments["swarmId"] = self.swarm
        await self.client.connect()
        said = await self.client.call(TOOL, arguments, timeout=None, attempts=ATTEMPTS)
        return msgspec.convert(said, Vote)

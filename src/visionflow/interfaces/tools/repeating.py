"""A call that comes again under its key gets the first answer, word for word.

That it is done once is the logs' doing, also across a restart. Here is only what was answered, in
memory and within bounds; what is not there any more is answered anew, from how things are by then.
"""

import inspect
from collections.abc import Awaitable
from typing import Any

import msgspec

from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.finding import remember
from visionflow.interfaces.tools.recording import command_id
from visionflow.interfaces.tools.swarms import SwarmMade
from visionflow.interfaces.tools.tool import AnyTool, Call

ANSWERS_MAX = 10_000
ANSWER_BYTES_MAX = 16_384
"""Of one, as JSON; a larger one is not kept."""


class FirstAnswers:
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._given: dict[str, Result] = {}
        """What was answered; all that an answer tells is durable."""

    def of(self, tool: AnyTool) -> AnyTool:
        """The same tool, which gives its first answer again to a call with the same key."""
        if tool.reads:
            return tool
        run = tool.run

        def again(call: Call, given: Any) -> Result | Awaitable[Result]:
            word = command_id(call, tool.name)
            if word is None:
                return run(call, given)
            known = self._given.get(word)
            if known is not None:
                self._latest(call, given, known)
                return known
            return self._first(word, call, run(call, given))

        return msgspec.structs.replace(tool, run=again)

    def _latest(self, call: Call, given: Any, result: Result) -> None:
        """Who names a swarm, or makes one, means it from then on, also by asking again."""
        named: str | None = getattr(given, "swarm_id", None)
        if named is None and isinstance(result, SwarmMade):
            named = result.swarm_id
        swarm = None if named is None else self._server.swarms.find(named)
        if swarm is not None:
            remember(self._server, call, swarm)

    async def _first(self, word: str, call: Call, found: Result | Awaitable[Result]) -> Result:
        result = await found if inspect.isawaitable(found) else found
        # Before it is kept, so that nothing holds on to a swarm that may be over by the next time.
        for durable in call.settling:
            await durable()
        known = self._given.get(word)
        if known is not None:
            return known  # The same call came meanwhile, and was answered before.
        final = not call.provisional and not call.cancelled.is_set()
        if final and len(msgspec.json.encode(result)) <= ANSWER_BYTES_MAX:
            self._given[word] = result
            if len(self._given) > ANSWERS_MAX:
                del self._given[next(iter(self._given))]
        return result

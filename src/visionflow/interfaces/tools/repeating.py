"""A call that comes again under its key gets the first answer, word for word.

That it is done once is the logs' doing, also across a restart. Here is what was answered, in memory
and within bounds; what is not there any more is answered anew, from how things are by then. And
here is whose each key is: a key that comes again with another tool or other arguments is refused,
for an answer to something else would be told as done. Only what was done holds a key; whoever was
refused may ask again under it, and be refused no more.
"""

import inspect
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec

from visionflow.domain.errors import ConfigError, KeyReused, Refused, UsageError, WorkspaceError
from visionflow.domain.limits import ANSWERS_MAX
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import KEY, Arguments, Result
from visionflow.interfaces.tools.finding import remember
from visionflow.interfaces.tools.recording import command_id, key_of
from visionflow.interfaces.tools.swarms import SwarmMade
from visionflow.interfaces.tools.tool import AnyTool, Call

GIVEN_MAX = 10_000
"""Answers that are kept."""
ANSWER_BYTES_MAX = 16_384
"""Of one, as JSON; a larger one is not kept."""
WAITING = ("wait", "wait_timeout")
"""Arguments that say how long to wait for the answer, not what is to be done."""
_NOTHING_DONE = (Refused, UsageError, ConfigError, WorkspaceError)


def digest_of(given: Arguments) -> str:
    """A short hash of what is asked for: of arguments as they were understood, so that it is the
    same by whatever name and in whatever form each was written."""
    fields = msgspec.structs.fields(given)
    waits = {each.name: each.default for each in fields if each.name in WAITING}
    asked = msgspec.structs.replace(given, **waits) if waits else given
    try:
        content = msgspec.json.encode(asked, order="deterministic")
    except (TypeError, ValueError, OverflowError, RecursionError):
        # It cannot be written down; whoever does it says so.
        content = repr(asked).encode(errors="surrogatepass")
    return sha256(content).hexdigest()[:16]


class _Open(msgspec.Struct):
    """Calls of one key that are under way."""

    use: str
    calls: int = 0


class Keys:
    """Which call each key belongs to: those that the logs know, and those since."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._uses: dict[str, str] | None = None
        self._open: dict[str, _Open] = {}

    def claim(self, command: str) -> str:
        """A call under this command id begins; returns the key, to be let go of when it ends.

        Raises:
            KeyReused: the key belongs to another call.
        """
        found = key_of(command)
        assert found is not None, "command_id made it"
        key, use = found
        opened = self._open.get(key)
        known = self._known().get(key) if opened is None else opened.use
        if known is not None and known != use:
            tool, was = use.partition("/")[0], known.partition("/")[0]
            other = "with other arguments" if was == tool else f"for {was}"
            raise KeyReused(
                f"{KEY} was used before, {other}: nothing is done under it a second time.",
                hint="Give each call a key of its own; ask again with the same arguments.",
            )
        if opened is None:
            opened = self._open[key] = _Open(use)
        opened.calls += 1
        return key

    def release(self, key: str, done: bool) -> None:
        """A call is over; `done`: something came of it, so the key is spent."""
        opened, uses = self._open[key], self._known()
        opened.calls -= 1
        if not opened.calls:
            del self._open[key]
        if done:
            uses[key] = opened.use
            if len(uses) > ANSWERS_MAX:
                del uses[next(iter(uses))]

    def _known(self) -> dict[str, str]:
        if self._uses is None:
            # What the logs remember of the time before this start.
            states = (self._server.fleet.state, *(s.state for s in self._server.swarms.all()))
            found = [
                key_of(command)
                for state in states
                for command, answer in state.answers.items()
                if answer.code is None
            ]
            self._uses = dict(each for each in found if each is not None)
        return self._uses


class FirstAnswers:
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = Keys(server)
        self._given: dict[str, Result] = {}
        """What was answered; all that an answer tells is durable."""

    def of(self, tool: AnyTool) -> AnyTool:
        """The same tool, which gives its first answer again to a call with the same key."""
        if tool.reads:
            return tool
        run = tool.run

        def again(call: Call, given: Any) -> Result | Awaitable[Result]:
            if call.key is None:
                return run(call, given)
            call.digest = digest_of(given)
            command = command_id(call, tool.name) or ""
            # Whoever waits for something else gets another answer to the same call.
            word = f"{command} {[getattr(given, name, None) for name in WAITING]}"
            known = self._given.get(word)
            if known is not None:
                self._latest(call, given, known)
                return known
            return self._first(word, command, tool.name, call, lambda: run(call, given))

        return msgspec.structs.replace(tool, run=again)

    def _claim(self, command: str, tool: str, call: Call) -> str:
        try:
            return self._keys.claim(command)
        except KeyReused as error:
            self._record(call, tool, error)
            raise

    def _record(self, call: Call, tool: str, error: Refused) -> None:
        caller = call.caller
        self._server.fleet.offer_call(
            by=caller.name,
            role=caller.role,
            face=caller.face,
            tool=tool,
            code=error.reason,
            message=error.message,
        )

    def _latest(self, call: Call, given: Any, result: Result) -> None:
        """Who names a swarm, or makes one, means it from then on, also by asking again."""
        named: str | None = getattr(given, "swarm_id", None)
        if named is None and isinstance(result, SwarmMade):
            named = result.swarm_id
        swarm = None if named is None else self._server.swarms.find(named)
        if swarm is not None:
            remember(self._server, call, swarm)

    async def _first(
        self,
        word: str,
        command: str,
        tool: str,
        call: Call,
        run: Callable[[], Result | Awaitable[Result]],
    ) -> Result:
        key, done = self._claim(command, tool, call), True
        try:
            found = run()
            result = await found if inspect.isawaitable(found) else found
            # Before it is kept, so that nothing holds on to a swarm that may be over by then.
            for durable in call.settling:
                await durable()
        except _NOTHING_DONE:
            done = call.kept
            raise
        finally:
            self._keys.release(key, done)
        known = self._given.get(word)
        if known is not None:
            return known  # The same call came meanwhile, and was answered before.
        final = not call.provisional and not call.cancelled.is_set()
        if final and len(msgspec.json.encode(result)) <= ANSWER_BYTES_MAX:
            self._given[word] = result
            if len(self._given) > GIVEN_MAX:
                del self._given[next(iter(self._given))]
        return result

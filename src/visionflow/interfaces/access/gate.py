"""The gate: who somebody is, on every face, and whether they may go on.

A connection gets a `Session` when it begins. Without a token only a process of our own user that is
none of an agent's is known; with one, whoever has it. What a role may do, each tool says; what
headers a request needs, `headers`; how a refusal looks on the wire is each face's.

In a face:

    session = gate.arrive(peer_of(transport), "tcp")     # connection_made
    await session.known()                                 # once, before the first request
    caller = session.for_request(meta_token=...)          # each request; raises Unauthenticated
    gate.enter(caller)                                    # raises RateLimited
    try: ... finally: gate.leave(caller)
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from functools import cache

from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import (
    Forbidden,
    RateLimited,
    Refused,
    Unauthenticated,
)
from visionflow.interfaces.access.binding import may_bind, notices
from visionflow.interfaces.access.headers import HeaderRules
from visionflow.interfaces.access.limits import Limits, Rate
from visionflow.interfaces.access.lookups import Found, Lookups, Whose
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.access.records import Audit, TokenRecords
from visionflow.interfaces.access.tokens import Token, Tokens
from visionflow.interfaces.tools.faults import Fault
from visionflow.settings.server import ServerSettings

FAILED_LOGINS, FAILED_WINDOW_S = 10, 60.0
"""Of one address; after that it is told to wait. A right token is never turned away for it."""
LOOK_AGAIN_MS = 1_000
"""So long somebody is told to wait of whom it could not be told yet who it is."""
_HOW = (
    "Send a token: `Authorization: Bearer TOKEN`, `_meta` with `visionflow/token`, or the method "
    "`authenticate` first. `visionflow token create NAME --role operator` makes one."
)


class Session:
    """One connection, or session, and who is at its other end."""

    def __init__(self, gate: "Gate", peer: Peer, face: str, client: str) -> None:
        self.peer = peer
        self.face = face
        self.client = client
        """Its name among the sessions of this process."""
        self.program: str | None = None
        """What the client calls itself; a face sets it."""
        self._gate = gate
        self._found: Found | None = None
        self._again: asyncio.Future[Session] | None = None
        """Another look, for a connection whose requests do not wait for one."""
        self._own: Caller | None = None
        """Who it is without a token."""
        self._token: tuple[str, Caller] | None = None
        """The id of the token that this connection was authenticated with, and who that is."""
        self._used: dict[str, Caller] = {}
        """By the text of tokens that came with requests: who that is."""
        self._ids: dict[str, str] = {}

    async def known(self) -> "Session":
        """Find out who is at the other end; at once the second time, unless the first look was not
        brought to its end."""
        if self._found is None or not self._found.settled:
            found = await self._gate.look(self.peer)
            self._own = self._gate.without_token(found, self)
            self._found = found
        return self

    @property
    def caller(self) -> Caller | None:
        """Who calls when a request brings no token of its own; `None`: nobody who is known, and
        then only what needs no caller is served (initialize, ping, authenticate)."""
        if self._token is None:
            return self._own
        try:
            self._gate.tokens.still(self._token[0])
        except Unauthenticated:
            return None
        return self._token[1]

    @property
    def who(self) -> str:
        """Who is at the other end in a few words, for the audit."""
        found = self._found
        if found is None or found.uid is None:
            return f"unknown@{self.peer.address}"
        if found.whose is Whose.AGENTS:
            return f"agent-process:{found.pid}@{self.peer.address}"
        return f"uid:{found.uid}@{self.peer.address}"

    def authenticate(self, token: str) -> Caller:
        """From now on this connection is whoever has this token.

        Raises:
            Unauthenticated: it is no token of ours (any more).
            Forbidden: an agent's process uses a token that is not an agent's.
            RateLimited: it was not, and too many before it were not either.
        """
        caller = self._login(token)
        self._token = (self._ids[token], caller)
        return caller

    def for_request(self, bearer: str | None = None, meta_token: str | None = None) -> Caller:
        """Who makes a request: of a token in it, else of the connection.

        Raises:
            Unauthenticated: nobody who is known, or the token is none (any more).
            Forbidden, RateLimited: see `authenticate`; `RateLimited` also while it could not be
                told yet who it is, as on a machine that is very busy.
        """
        token = bearer if bearer is not None else meta_token
        if token is not None:
            known = self._used.get(token)
            if known is None:
                return self._login(token)
            self._still(self._ids[token])
            return known
        if self._token is not None:
            self._still(self._token[0])
            return self._token[1]
        if self._own is not None:
            return self._own
        if self._found is not None and not self._found.settled:
            self._look_again()
            raise RateLimited(
                f"This server could not tell yet who you are: {self._found.why}.",
                hint=f"Ask again after {LOOK_AGAIN_MS} ms. {_HOW}",
                retry_after_ms=LOOK_AGAIN_MS,
            )
        why = "" if self._found is None else self._found.why
        error = Unauthenticated(
            f"This server does not know who you are: {why or 'no token came with this request'}.",
            hint=_HOW,
        )
        self._gate.turned_away(self, error)
        raise error

    def _look_again(self) -> None:
        if self._again is None or self._again.done():
            self._again = asyncio.ensure_future(self.known())

    def _still(self, identity: str) -> None:
        try:
            self._gate.tokens.still(identity)
        except Unauthenticated as error:
            self._gate.turned_away(self, error)
            raise

    def _login(self, text: str) -> Caller:
        token = self._gate.login(text, self)
        caller = Caller(
            name=f"token:{token.name}",
            role=token.role,
            face=self.face,
            client=self.client_of(f"token:{token.name}"),
            limited=True,
            program=self.program,
        )
        if len(self._used) >= 100:
            self._used.clear()
        self._used[text], self._ids[text] = caller, token.id
        return caller

    def client_of(self, name: str) -> str:
        """Which client a caller of this name is here: each connection, where those last as long as
        their client does; over HTTP, where a request may bring a new one, all of the name."""
        return self.client if self.face in ("tcp", "socket", "stdio") else f"{self.face}:{name}"

    @property
    def is_agents(self) -> bool:
        """Whether an agent's process is at the other end."""
        return self._found is not None and self._found.whose is Whose.AGENTS


class Gate:
    """Belongs to one loop; `close` it."""

    def __init__(
        self,
        settings: ServerSettings,
        tokens: Tokens,
        lookups: Lookups,
        audit: Audit,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.tokens = tokens
        self.headers = HeaderRules(settings)
        self._lookups = lookups
        self._audit = audit
        self._now = now
        self._records = TokenRecords(tokens, audit)
        self._limits = Limits(settings.calls_per_second, settings.calls_at_once, now)
        self._failures = Rate(FAILED_LOGINS, FAILED_WINDOW_S, now)
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Let go of the thread that looks for processes."""
        self._lookups.close()

    # Connections ---------------------------------------------------------------------------

    def arrive(self, peer: Peer, face: str) -> Session:
        """A connection begins. Await its `known` before its first request is served."""
        return Session(self, peer, face, f"{face}:{next(self._numbers)}")

    async def connect(self, peer: Peer, face: str) -> Session:
        """The same, and waited for."""
        return await self.arrive(peer, face).known()

    async def look(self, peer: Peer) -> Found:
        """Whose process is at the other end of a connection."""
        self._records.look()
        return await self._lookups.find(peer)

    def without_token(self, found: Found, session: Session) -> Caller | None:
        """Who somebody is that shows no token."""
        name: str | None = None
        if found.whose is Whose.OURS:
            name, limited = f"local:{_user()}", False
        elif self.settings.allow_unauthenticated and found.whose is not Whose.AGENTS:
            name, limited = f"anyone@{session.peer.address}", True
        else:
            return None
        return Caller(
            name=name,
            role=Role.ADMIN,
            face=session.face,
            client=session.client_of(name),
            limited=limited,
            program=session.program,
        )

    def login(self, text: str, session: Session) -> Token:
        """The token that somebody shows.

        Raises:
            Unauthenticated, Forbidden, RateLimited: see `Session.authenticate`.
        """
        self._records.look()
        try:
            token = self.tokens.check(text)
            if session.is_agents and token.role is not Role.AGENT:
                raise Forbidden(
                    f"An agent's process shows the token {token.name} of the role {token.role}; "
                    "it may only use one of the role agent.",
                    hint="visionflow token create NAME --role agent",
                )
        except Unauthenticated as error:
            wait_ms = self._failures.take(session.peer.address)
            if wait_ms is None:
                self._record(session.who, session.face, "login_failed", error.message)
                raise
            limited = RateLimited(
                f"Too many tokens that are none came from {session.peer.address}.",
                hint=f"Ask again after {wait_ms} ms, with a token that is one.",
                retry_after_ms=wait_ms,
            )
            self._record(session.who, session.face, "login_limited", limited.message)
            raise limited from error
        except Forbidden as error:
            self._record(session.who, session.face, "forbidden", error.message)
            raise
        self._records.used(token, session.who, session.peer.address, session.face, self._now())
        return token

    def turned_away(self, session: Session, error: Refused | Fault) -> None:
        """Put on record that a request was refused before any tool was called."""
        if isinstance(error, Fault):
            code, message = str(error.data["code"]), error.message
        else:
            code, message = error.reason, error.message
        self._record(session.who, session.face, code, message)

    # Calls ---------------------------------------------------------------------------------

    def enter(self, caller: Caller) -> None:
        """A call begins; `leave` when it is over, unless this raises.

        Raises:
            RateLimited: `retry_after_ms` says when to ask again. It is on record.
        """
        if not caller.limited:
            return
        try:
            self._limits.enter(caller.name)
        except RateLimited as error:
            self._record(caller.name, caller.face, error.reason, error.message)
            raise

    def leave(self, caller: Caller) -> None:
        """A call that had entered is over, however it ended."""
        if caller.limited:
            self._limits.leave(caller.name)

    def refused(self, caller: Caller, tool: str, error: BaseException) -> None:
        """Put on record that a call was refused because of who called (`Forbidden`); any other
        error is the tool's own business and is not recorded here."""
        if isinstance(error, Forbidden):
            self._audit.offer_call(
                by=caller.name,
                role=caller.role,
                face=caller.face,
                tool=tool,
                code=error.reason,
                message=error.message,
            )

    def _record(self, by: str, face: str, code: str, message: str) -> None:
        self._audit.offer_access(by=by, face=face, code=code, message=message)

    # The start of a server -----------------------------------------------------------------

    def may_bind(self) -> None:
        """See `binding.may_bind`."""
        may_bind(self.settings, self.tokens)

    def notices(self) -> list[str]:
        """See `binding.notices`."""
        return notices(self.settings)


@cache
def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())

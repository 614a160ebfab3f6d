"""What the gate puts on record: tokens as they come, go and are used, and who was turned away.

No token is ever in it, only names, ids and roles.
"""

from typing import Protocol

from visionflow.domain.errors import ConfigError
from visionflow.interfaces.access.tokens import Token, Tokens

LOGIN_S, LOGINS_MAX = 3_600.0, 10_000


class Audit(Protocol):
    """Where it is put on record; `FleetLog` is one."""

    def offer_access(self, *, by: str, face: str, code: str, message: str = "") -> None:
        """Record that somebody was turned away or let in; nobody waits for it."""
        ...

    def offer_call(
        self, *, by: str, role: str, face: str, tool: str, code: str | None, message: str
    ) -> None:
        """Record a call that was refused; nobody waits for it."""
        ...


class TokenRecords:
    """Notes which tokens there are and which of them are used."""

    def __init__(self, tokens: Tokens, audit: Audit) -> None:
        self._tokens = tokens
        self._audit = audit
        self._logins: dict[tuple[str, str, str], float] = {}
        self._listed: dict[str, Token] | None = None

    def used(self, token: Token, who: str, address: str, face: str, now: float) -> None:
        """A token opened something. It is noted once an hour for each place that it is used from:
        a program that connects for every call would fill the log."""
        place = (token.id, address, face)
        if now - self._logins.get(place, -LOGIN_S) < LOGIN_S:
            return
        if len(self._logins) >= LOGINS_MAX:
            self._logins.clear()
        self._logins[place] = now
        told = f"{who}, role {token.role}"
        self._audit.offer_access(by=f"token:{token.name}", face=face, code="login", message=told)

    def look(self) -> None:
        """Note which tokens were made or revoked since the last look, by whatever process."""
        try:
            now = {token.id: token for token in self._tokens.all()}
        except ConfigError as error:
            if self._listed is None or self._listed:
                self._note("tokens_unreadable", error.message)
            self._listed = {}
            return
        before, self._listed = self._listed, now
        for token in now.values():
            if before is None:
                self._note("token_present", _told(token))
            elif token.id not in before:
                self._note("token_created", _told(token))
        for token in (before or {}).values():
            if token.id not in now:
                self._note("token_revoked", _told(token))

    def _note(self, code: str, message: str) -> None:
        self._audit.offer_access(by="server", face="tokens", code=code, message=message)


def _told(token: Token) -> str:
    return f"{token.name} ({token.id}), role {token.role}"

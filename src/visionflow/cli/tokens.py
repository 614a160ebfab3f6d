"""`visionflow token`: makes, lists and revokes the tokens of a server.

It works on the file of tokens alone, so it needs no running server; one that runs notices.
"""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.interfaces.access.tokens import Token, Tokens

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Home = Annotated[
    Path | None, Parameter(help="The server's VISIONFLOW_HOME, when that variable has another.")
]
TOKEN_EXAMPLES = """\
Examples:
  visionflow token create laptop --role operator --expires 30d
  TOKEN=$(visionflow token create ci --role viewer --json | jq -r .token)
  visionflow token list
  visionflow token revoke laptop
"""
CREATE_EXAMPLES = """\
Examples:
  visionflow token create laptop --role operator
  visionflow token create ci --role viewer --expires 12h --json | jq -r .token
"""
LIST_EXAMPLES = """\
Examples:
  visionflow token list
  visionflow token list --json | jq -r '.tokens[] | select(.expired) | .name'
"""
REVOKE_EXAMPLES = """\
Examples:
  visionflow token revoke laptop
  visionflow token revoke 4hzq2nle
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def token_app() -> App:
    """The command with its three."""
    app = App(
        name="token",
        help="Make, list and revoke tokens, which let others than your own user call a server.",
        help_epilogue=TOKEN_EXAMPLES,
    )
    app.command(create, help_epilogue=CREATE_EXAMPLES)
    app.command(listed, name="list", help_epilogue=LIST_EXAMPLES)
    app.command(revoke, help_epilogue=REVOKE_EXAMPLES)
    return app


def create(
    name: str,
    /,
    *,
    role: Literal["viewer", "operator", "admin", "agent"],
    expires: str | None = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Make a token and print it. It is shown this once: only a hash of it is kept.

    Parameters
    ----------
    name
        What the audit calls whoever uses it: letters, digits, and . _ @ -
    role
        viewer reads; operator starts, changes and ends work; admin may do everything; agent is
        for programs that agents run.
    expires
        After how long it stops working, such as 12h or 30d; never when not given.
    """
    from visionflow.domain.access import Role

    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a token.",
            hint="Use 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit.",
        )
    tokens = _tokens(home)
    token, text = tokens.create(name, Role(role), _expires_ms(expires))
    if json:
        _print({"token": text, **_object(token, False)})
        return 0
    from visionflow.cli.terminal import say

    print(text, flush=True)
    until = "does not expire" if token.expires_ms is None else f"expires {_date(token.expires_ms)}"
    say(f"The token {name} (id {token.id}, role {role}) {until}. It is not shown again.")
    return 0


def listed(*, home: Home = None, json: Json = False) -> int:
    """List the tokens. Which of them somebody used, `visionflow audit list` tells."""
    from visionflow.cli.terminal import Paint, colours
    from visionflow.interfaces.access.tokens import wall_ms

    tokens, now_ms = _tokens(home), wall_ms()
    found = tokens.all()
    if json:
        _print({"tokens": [_object(token, token.expired(now_ms)) for token in found]})
        return 0
    paint = Paint(colours(sys.stdout))
    for token in found:
        over = token.expired(now_ms)
        until = "never expires" if token.expires_ms is None else _date(token.expires_ms)
        state = paint("bad", f"expired {until}") if over else until
        created = _date(token.created_ms)
        print(f"{token.name:<24}  {token.id}  {token.role:<8}  {created}  {state}")
    if not found:
        print(f"No tokens in {tokens.path}.")
    return 0


def revoke(
    name: Annotated[str, Parameter(name="NAME|ID")], /, *, home: Home = None, json: Json = False
) -> int:
    """Take a token away. It stops working at once, on open connections too.

    Parameters
    ----------
    name
        Its name or its id.
    """
    token = _tokens(home).revoke(name)
    if json:
        _print({"revoked": True, **_object(token, False)})
    else:
        print(f"Revoked {token.name} ({token.id}, role {token.role}).")
    return 0


def _tokens(home: Path | None) -> "Tokens":
    from visionflow.interfaces.access.tokens import Tokens
    from visionflow.settings.origins import home_of

    return Tokens(home_of(os.environ) if home is None else home)


def _expires_ms(text: str | None) -> int | None:
    """How long from now.

    Raises:
        UsageError: it is no duration, or none at all.
    """
    if text is None:
        return None
    from visionflow.interfaces.tools.forms import FORMS

    try:
        found = FORMS["seconds"].read(text)
    except ValueError as error:
        raise UsageError(f"--expires is {text!r}; it is {error}.") from error
    if not isinstance(found, int) or found <= 0:
        raise UsageError("--expires is nothing; such a token would never work.")
    return found


def _object(token: "Token", expired: bool) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "created": _date(token.created_ms),
        "expires": None if token.expires_ms is None else _date(token.expires_ms),
        "expired": expired,
    }


def _date(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(value: object) -> None:
    from visionflow.cli.result import print_json

    print_json(value)

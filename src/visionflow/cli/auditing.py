"""`visionflow audit`: who did what on a server, and whether its log is what it was.

It only reads the log, so it works while the server runs and when it is dead.
"""

import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from visionflow.domain.errors import LogCorrupt, UnknownId, UsageError

if TYPE_CHECKING:
    from visionflow.adapters.sqlite.log import SqliteLog
    from visionflow.ports.fleet_views import AuditRow
    from visionflow.runtime.audit import AuditVerdict

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Home = Annotated[
    Path | None, Parameter(help="The server's VISIONFLOW_HOME, when that variable has another.")
]
AUDIT_EXAMPLES = """\
Examples:
  visionflow audit list --since 1h
  visionflow audit verify
"""
LIST_EXAMPLES = """\
Examples:
  visionflow audit list --since 24h
  visionflow audit list --by token:laptop
  visionflow audit list --json | jq -r '.entries[] | select(.code != null) | .message'
"""
VERIFY_EXAMPLES = """\
Examples:
  visionflow audit verify
  visionflow audit verify --json | jq -r .head >head.txt
  visionflow audit verify --head "$(cat head.txt)"
"""
_AGO = re.compile(r"[0-9.]+\s*(ms|s|m|h|d)?")


def audit_app() -> App:
    """The command with its two."""
    app = App(
        name="audit",
        help="See who did what on a server, and whether its log was changed.",
        help_epilogue=AUDIT_EXAMPLES,
    )
    app.command(listed, name="list", help_epilogue=LIST_EXAMPLES)
    app.command(verify, help_epilogue=VERIFY_EXAMPLES)
    return app


def listed(
    *,
    since: str | None = None,
    by: str | None = None,
    limit: int = 1_000,
    home: Home = None,
    json: Json = False,
) -> int:
    """List changes, refusals and logins, oldest first.

    Parameters
    ----------
    since
        Only what came after: how long ago (90s, 24h, 7d), or a time as 2026-01-31T12:00:00Z.
    by
        Only of this caller, such as local:alice or token:laptop.
    limit
        At most so many, the latest ones; 0 for all.
    """
    if limit < 0:
        raise UsageError("--limit is a number from 0 on.")
    since_ms = 0 if since is None else _since_ms(since)
    with _log(home) as log:
        rows = [row for row in _rows(log) if row.at_ms >= since_ms and (by is None or row.by == by)]
    shown = rows[-limit:] if limit else rows
    if json:
        entries = [_object(row) for row in shown]
        _print_json({"entries": entries, "left_off": len(rows) - len(shown)})
        return 0
    _print_rows(shown, len(rows) - len(shown))
    return 0


def verify(*, head: str | None = None, home: Home = None, json: Json = False) -> int:
    """Check the log's hash chains, and print the head. Ends with 1 when something was changed.

    A chain shows every edit. That its end was cut off shows only against a head that was noted
    before and kept elsewhere: give it with --head.

    Parameters
    ----------
    head
        A head that an earlier `verify` printed.
    """
    from visionflow.runtime.audit import verify as verified

    with _log(home) as log:
        try:
            verdict = verified(log, head, served=True)
        except LogCorrupt as error:
            if json:
                _print_json({"ok": False, "code": error.code, "message": str(error)})
            else:
                from visionflow.cli.terminal import say_error

                say_error(error)
            return 1
    if json:
        _print_json({"ok": verdict.holds, **_plain(verdict)})
    else:
        _print_verdict(verdict)
    return 0 if verdict.holds else 1


def _print_verdict(verdict: "AuditVerdict") -> None:
    from visionflow.cli.terminal import Paint, colours

    paint = Paint(colours(sys.stdout))
    if not verdict.holds:
        print(paint("bad", f"The head {verdict.asked} is not in the log."))
        print("Records were cut off or replaced since it was noted, or it is another log's.")
    elif verdict.found is not None:
        found = verdict.found
        told = f"record {found.seq} of {found.stream}, {found.behind} came after it"
        print(paint("good", f"The head that was noted is there: {told}."))
    streams = f"{len(verdict.streams)} stream{'' if len(verdict.streams) == 1 else 's'}"
    print(f"{verdict.records} records in {streams}: every chain holds.")
    if verdict.head is not None:
        print(f"Head: {verdict.head}")


def _print_rows(rows: "list[AuditRow]", left_off: int) -> None:
    from visionflow.agents.tools.text import one_line
    from visionflow.cli.terminal import Paint, colours, plain

    paint = Paint(colours(sys.stdout))
    if left_off:
        print(paint("faint", f"{left_off} older ones are left off; --limit 0 shows all."))
    for row in rows:
        what = row.tool or row.code or ""
        accepted = row.kind == "call" and row.code is None
        mark = " done" if accepted else f" {row.code}" if row.tool else ""
        style = "good" if accepted or row.code in ("login", "token_present") else "unsure"
        times = f" x{row.count}" if row.count > 1 else ""
        told = " ".join(each for each in (row.subject, row.message) if each)
        print(
            plain(f"{_date(row.at_ms)}  {one_line(row.by):<24}  {row.face:<6}  "),
            paint(style, one_line(what + mark) + times),
            f"  {one_line(told)}" if told else "",
            sep="",
        )
    if not rows:
        print("Nothing is on record.")


def _object(row: "AuditRow") -> dict[str, Any]:
    return {**_plain(row), "at": _date(row.at_ms)}


def _plain(value: object) -> dict[str, Any]:
    return msgspec.to_builtins(value)


def _rows(log: "SqliteLog") -> "Iterator[AuditRow]":
    from visionflow.domain.fleet import STREAM, decode_fleet_record
    from visionflow.ports.fleet_views import AuditRow
    from visionflow.runtime.audit import check_promised
    from visionflow.runtime.fleet_rows import changes

    if STREAM not in (streams := log.streams()):
        check_promised(streams, ())
    for entry in log.read(STREAM):
        for change in changes(entry.seq, decode_fleet_record(entry.body)):
            if isinstance(change, AuditRow):
                yield change


@contextmanager
def _log(home: Path | None) -> "Generator[SqliteLog]":
    """The server's log, only to be read.

    Raises:
        UnknownId: there is none.
    """
    from visionflow.adapters.sqlite.log import SqliteLog
    from visionflow.compose.store import ServerStore
    from visionflow.settings.origins import home_of

    where = home_of(os.environ) if home is None else home
    path = ServerStore.of(str(where)).log
    if not path.exists():
        raise UnknownId(
            f"There is no server's log at {path}.",
            hint="`visionflow serve` makes it; --home or VISIONFLOW_HOME says where it is.",
        )
    log = SqliteLog.open(path, read_only=True)
    try:
        yield log
    finally:
        log.close()


def _since_ms(text: str) -> int:
    """From when on.

    Raises:
        UsageError: it is neither a duration nor a time.
    """
    from datetime import UTC, datetime

    from visionflow.interfaces.access.tokens import wall_ms
    from visionflow.interfaces.tools.forms import FORMS

    try:
        if _AGO.fullmatch(text.strip()):
            return wall_ms() - _number(FORMS["seconds"].read(text))
        found = datetime.fromisoformat(text)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)
    except ValueError as error:
        raise UsageError(
            f"--since is {text!r}.", hint="Write how long ago (24h), or 2026-01-31T12:00:00Z."
        ) from error


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _date(ms: int) -> str:
    from datetime import UTC, datetime

    found = datetime.fromtimestamp(ms / 1_000, UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1_000:03d}Z"


def _print_json(value: object) -> None:
    from visionflow.cli.result import print_json

    print_json(value)

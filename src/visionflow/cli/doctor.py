"""`visionflow doctor`: what is wrong on this machine or server, and the command that mends it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.cli.terminal import Paint
    from visionflow.compose.doctor import Check, Checked, Examined

DEFAULT_OUT = Path(".visionflow/runs")
NOT_WELL = 1
FLAG = Parameter(negative=())
DOCTOR_EXAMPLES = """\
Examples:
  visionflow doctor
  visionflow doctor --only disk --only git
  visionflow doctor --json | jq -r '.checks[].findings[] | select(.mend) | .mend'
  visionflow doctor --server 127.0.0.1:9500
  visionflow doctor --bundle doctor.tar.gz
"""
_MARKS = {"error": ("bad", "ERROR"), "warning": ("unsure", "WARN "), "info": ("faint", "note ")}


def doctor(
    *,
    only: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    deep: Annotated[bool, FLAG] = False,
    bundle: Path | None = None,
    workspace: Path | None = None,
    out: Annotated[Path, Parameter(help="Where the folders of runs are.")] = DEFAULT_OUT,
    home: Annotated[
        Path | None, Parameter(help="VISIONFLOW_HOME, when that variable has another.")
    ] = None,
    server: Annotated[str | None, Parameter(negative=())] = None,
    token: str | None = None,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON object and nothing else.")
    ] = False,
) -> int:
    """Look for what is wrong, and name the command that mends it. Changes nothing.

    Ends with 0 when nothing is wrong, with 1 when there is an error or a warning. Notes are
    neither.

    Parameters
    ----------
    only
        Make this check only; may be given several times.
    deep
        Read whole logs and check every record of theirs, not their ends alone.
    bundle
        Write what a maintainer needs into this .tar.gz too, secrets and payloads left out.
    workspace
        The folder that runs are to work on; the current one when not given.
    server
        The server to ask: HOST:PORT, or the path of a socket; this user's own when not given.
    token
        For a server that needs one.
    """
    from visionflow.cli.reaching import client_of
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import Paint, colours, plain, say
    from visionflow.compose.doctor import Place, all_checks, examine
    from visionflow.settings.origins import home_of

    kept = (home or home_of(os.environ)).absolute()
    place = Place(
        home=kept,
        workspace=(workspace or Path.cwd()).absolute(),
        out=out.absolute(),
        environment=dict(os.environ),
        server=server,
        token=token,
        deep=deep,
    )
    # Not by a port: what answers there may be the server of another home.
    asked = server if server is not None else str(kept / "server" / "mcp.sock")
    checks = _chosen(all_checks(lambda: client_of(asked, token, waits=False)), only)
    found = examine(place, checks)
    written = None
    if bundle is not None:
        from visionflow.compose.doctor.bundling import bundle as write

        written = write(place, found, bundle.absolute())
    if json:
        print_json(_object(found, None if written is None else written.path))
    else:
        print("\n".join(plain_lines(found, Paint(colours(sys.stdout)))))
    if written is not None:
        count = f"{len(written.files)} files, something hidden in {written.masked} lines"
        say(f"{plain(written.path)} is written: {count}. Look through it before you send it.")
    return 0 if found.well else NOT_WELL


def _chosen(checks: "tuple[Check, ...]", only: tuple[str, ...]) -> "tuple[Check, ...]":
    """Those that were asked for.

    Raises:
        UsageError: there is no such check.
    """
    known = {each.id for each in checks}
    for word in only:
        if word not in known:
            raise UsageError(
                f"There is no check {word[:80]!r}.", hint=f"Checks: {', '.join(sorted(known))}."
            )
    return tuple(each for each in checks if not only or each.id in only)


def _object(found: "Examined", bundle: str | None) -> dict[str, Any]:
    import msgspec

    from visionflow.compose.doctor import Level

    counts = {level.value: found.count(level) for level in Level}
    return {"well": found.well, "findings": counts, "bundle": bundle, **msgspec.to_builtins(found)}


def plain_lines(found: "Examined", paint: "Paint") -> list[str]:
    """The table: a line a check, and below it what was found."""
    from visionflow.agents.tools.text import one_line
    from visionflow.compose.doctor import Level

    lines: list[str] = []
    for each in found.checks:
        told = one_line(each.told, 160)
        lines.append(f"{_mark(each, paint)} {each.check:<13} {told}".rstrip())
        for finding in each.findings:
            style, word = _MARKS[finding.level]
            lines.append(f"      {paint(style, word.strip())}: {one_line(finding.what, 300)}")
            lines.append(f"      {paint('faint', one_line(finding.why, 300))}")
            if finding.mend is not None:
                lines.append(f"      mend: {paint('bold', one_line(finding.mend, 500))}")
    errors, warnings, notes = (found.count(level) for level in Level)
    told = f"{errors} errors, {warnings} warnings, {notes} notes"
    lines += [
        "",
        paint("good" if found.well else "bad", "Nothing is wrong" if found.well else told),
    ]
    if found.well and notes:
        lines[-1] += f" ({notes} notes)"
    return lines


def _mark(each: "Checked", paint: "Paint") -> str:
    from visionflow.compose.doctor import Level

    levels = {finding.level for finding in each.findings}
    if Level.ERROR in levels:
        return paint("bad", "ERROR")
    if Level.WARNING in levels:
        return paint("unsure", "WARN ")
    return paint("good", "ok   ") if each.made else paint("faint", "-    ")

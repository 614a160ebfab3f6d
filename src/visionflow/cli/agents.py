"""`visionflow agents`: which command-line agents there are, and what they need to be used."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from visionflow.cli.terminal import Paint, colours, plain

if TYPE_CHECKING:
    from visionflow.agents.command.detect import Detected, Found

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Workspace = Annotated[
    Path | None, Parameter(help="Whose roles to look for; the current folder when not given.")
]
AGENTS_EXAMPLES = """\
Examples:
  visionflow agents detect
  visionflow agents list
  visionflow run "Limit logins" --agent 'claude -p {goal}' --agent codex
  visionflow run "Limit logins" --agent @reviewer
"""
DETECT_EXAMPLES = """\
Examples:
  visionflow agents detect
  visionflow agents detect --json | jq -r '.profiles[] | select(.ready) | .profile'
"""
LIST_EXAMPLES = """\
Examples:
  visionflow agents list
  visionflow agents list --json | jq -r '.profiles[].words'
"""


def agents_app() -> App:
    """The command with its two."""
    app = App(
        name="agents",
        help="Find the command-line agents that this machine has, such as Claude Code and Codex.",
        help_epilogue=AGENTS_EXAMPLES,
    )
    app.command(detected, name="detect", help_epilogue=DETECT_EXAMPLES)
    app.command(listed, name="list", help_epilogue=LIST_EXAMPLES)
    return app


def detected(*, workspace: Workspace = None, json: Json = False) -> int:
    """Find which agents are installed, whether they have credentials, and what they still need.

    Runs `PROGRAM --version` of each, in an empty home. Looks at names of credentials, never at
    their values. Ends with 0 if one of them is ready, with 1 if none is.
    """
    from visionflow.agents.command.detect import detect
    from visionflow.cli.result import print_json

    found = detect(workspace or Path.cwd(), _home(), os.environ)
    if json:
        print_json(_object(found))
    else:
        print("\n".join(_table(found, Paint(colours(sys.stdout)))))
    return 0 if any(each.ready for each in found.profiles) else 1


def listed(*, json: Json = False) -> int:
    """List the profiles, with the command line that each one's name stands for."""
    from visionflow.agents.command.profiles import PROFILES
    from visionflow.cli.result import print_json

    if json:
        rows = [
            {"profile": p.name, "title": p.title, "words": p.words, "network": p.network,
             "resumes": p.resumes, "reports": p.reports, "env": p.env, "files": p.files}
            for p in PROFILES.values()
        ]  # fmt: skip
        print_json({"profiles": rows})
        return 0
    paint = Paint(colours(sys.stdout))
    for p in PROFILES.values():
        print(f"{paint('bold', f'{p.name:<8}')} {p.title:<18} {p.words}")
    return 0


def _home() -> Path | None:
    return Path(os.environ["HOME"]) if os.environ.get("HOME") else None


def _object(found: "Detected") -> dict[str, Any]:
    import msgspec

    return {"ready": any(each.ready for each in found.profiles), **msgspec.to_builtins(found)}


def _table(found: "Detected", paint: Paint) -> list[str]:
    lines: list[str] = []
    for each in found.profiles:
        lines += _row(each, paint)
    if found.roles:
        lines += ["", "Roles, to be named with @ (they run Claude Code):"]
    width = max((len(role.name) for role in found.roles), default=0)
    for role in found.roles:
        told = plain(role.description) if role.fault is None else paint("bad", plain(role.fault))
        lines.append(f"  @{plain(role.name):<{width}}  {told}")
    return lines


def _row(each: "Found", paint: Paint) -> list[str]:
    if each.ready:
        state = paint("good", f"{'ready':<13}")
    elif each.path is None:
        state = paint("faint", f"{'not installed':<13}")
    else:
        state = paint("unsure", f"{'not ready':<13}")
    where = "" if each.path is None else f"{each.version or 'version unknown'}  {plain(each.path)}"
    lines = [f"{each.profile:<7} {each.title:<12} {state} {where}".rstrip()]
    if each.credentials:
        lines.append(f"{'':<8}credentials: {', '.join(each.credentials)}")
    lines += [f"{'':<8}{plain(need)}" for need in each.needs]
    return lines

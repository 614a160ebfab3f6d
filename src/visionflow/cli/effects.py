"""`visionflow effects`: what agents did to the world outside, and what of it is in doubt.

Of a server over its tools; of a run or of an embedded orchestrator from its folder.
"""

import asyncio
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from visionflow.domain.errors import UnknownId, UsageError

if TYPE_CHECKING:
    from visionflow.compose.outside import Kept
    from visionflow.ports.views import EffectRow

DEFAULT_OUT = Path(".visionflow/runs")
EFFECTS_EXAMPLES = """\
Examples:
  visionflow effects list --status in_doubt
  visionflow effects show task_1795855550167_ab3/send#1:9fe45101352499c7
  visionflow effects resolve order-17 --done --note "It is in the sent folder"
"""
LIST_EXAMPLES = """\
Examples:
  visionflow effects list
  visionflow effects list --status in_doubt --swarm swarm_1795855550167_ab3
  visionflow effects list --run run_1795855550167
  visionflow effects list --json | jq -r '.effects[] | select(.status == "in_doubt") | .key'
"""
SHOW_EXAMPLES = """\
Examples:
  visionflow effects show order-17
  visionflow effects show order-17 --run run_1795855550167 --json | jq .result
"""
RESOLVE_EXAMPLES = """\
Examples:
  visionflow effects resolve order-17 --done --result '{"id": 812}' --note "The shop has it"
  visionflow effects resolve order-17 --not-done --note "The shop has no such order"
  visionflow effects resolve order-17 --abandon --note "We buy it elsewhere"
"""
FLAG = Parameter(negative=())
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Key = Annotated[str, Parameter(name="KEY")]
Status = Literal["reserved", "settled", "failed", "in_doubt", "resolved"]
Row = dict[str, Any]
_FROM_TOOL = {
    "key": "key",
    "name": "name",
    "class": "effectClass",
    "status": "status",
    "task": "taskId",
    "attempt": "attempt",
    "request": "request",
    "reason": "reason",
    "resolution": "resolution",
    "by": "by",
    "note": "note",
    "result": "result",
    "reserved": "reservedAt",
    "changed": "changedAt",
}


@dataclass(frozen=True)
class Place:
    """Where the effects are: a server's, a run's, or those in an orchestrator's folder."""

    server: Annotated[str | None, Parameter(help="HOST:PORT, or the path of a socket.")] = None
    swarm: Annotated[str | None, Parameter(help="Of a server: which swarm; else the latest.")] = (
        None
    )
    run: Annotated[str | None, Parameter(help="A run's name, or how it begins.")] = None
    out: Annotated[Path, Parameter(help="Where the folders of runs are.")] = DEFAULT_OUT
    folder: Annotated[Path | None, Parameter(help="An embedded orchestrator's folder.")] = None


HERE = Place()
Where = Annotated[Place, Parameter(name="*")]


def effects_app() -> App:
    """The command with its three."""
    app = App(
        name="effects",
        help="See what agents did to the world outside, and say what became of it in doubt.",
        help_epilogue=EFFECTS_EXAMPLES,
    )
    app.command(listed, name="list", help_epilogue=LIST_EXAMPLES)
    app.command(show, help_epilogue=SHOW_EXAMPLES)
    app.command(resolve, help_epilogue=RESOLVE_EXAMPLES)
    return app


def listed(
    *,
    status: Annotated[list[Status] | None, Parameter(negative=())] = None,
    task: str | None = None,
    place: Where = HERE,
    json: Json = False,
) -> int:
    """List outside effects in the order in which they were reserved.

    Parameters
    ----------
    status
        Only those that stand so; may be given more than once.
    task
        Only those of this task.
    """
    kept = _kept(place)
    if kept is None:
        rows = _served(place, list(status or ()), task)
    else:
        from visionflow.compose.outside import rows_of

        rows = [
            _row(row, None)
            for row in rows_of(kept)
            if (not status or row.status in status) and task in (None, row.task)
        ]
    if json:
        _print_json({"effects": rows})
        return 0
    for row in rows:
        print("\n".join(_lines(row, whole=False)))
    if not rows:
        print("There is no such effect." if status or task else "There is no effect.")
    return 0


def show(key: Key, /, *, place: Where = HERE, json: Json = False) -> int:
    """Show one effect with its result.

    Parameters
    ----------
    key
        Its key, as `list` tells it.
    """
    row = _one(place, key)
    if json:
        _print_json(row)
    else:
        print("\n".join(_lines(row, whole=True)))
    return 0


def resolve(
    key: Key,
    /,
    *,
    note: str,
    done: Annotated[bool, FLAG] = False,
    not_done: Annotated[bool, FLAG] = False,
    abandon: Annotated[bool, FLAG] = False,
    result: str | None = None,
    place: Where = HERE,
    json: Json = False,
) -> int:
    """Say what became of an effect in doubt. Tasks that wait for it go on, or fail.

    Parameters
    ----------
    key
        Its key, as `list` tells it.
    note
        How you know; it is kept, with your name.
    done
        It happened: who asks for it gets --result.
    not_done
        It did not happen: it is carried out.
    abandon
        Nobody is to go on with it: tasks that wait for it fail.
    result
        Of one that was done: what it returned, as JSON.
    """
    chosen = [
        word
        for word, said in (("done", done), ("not_done", not_done), ("abandoned", abandon))
        if said
    ]
    if len(chosen) != 1:
        raise UsageError("Say one of --done, --not-done and --abandon.", hint="See --help.")
    value = None if result is None else _json_in(result)
    kept, tasks = _kept(place), list[str]()
    if kept is None:
        given: Row = {"key": key, "resolution": chosen[0], "note": note, "result": value}
        told = _call(place, "effect_resolve", {**given, "swarmId": place.swarm})
        tasks = told["tasks"]
        row = _one(replace(place, swarm=told["swarmId"]), key)
    else:
        from visionflow.compose.outside import resolve as say
        from visionflow.compose.outside import result_of

        found = say(kept, key, chosen[0], note, value, f"local:{_user()}")
        row = _row(found, result_of(kept, found))
    if json:
        _print_json({**row, "waiting_tasks": tasks if kept is None else None})
        return 0
    print("\n".join(_lines(row, whole=True)))
    _tell_on(kept, tasks)
    return 0


def _tell_on(kept: "Kept | None", tasks: list[str]) -> None:
    from visionflow.cli.terminal import plain, say

    if kept is not None:
        say(f"What waits for it goes on with: {kept.go_on}")
    elif tasks:
        say(f"What waited for it: {plain(', '.join(tasks))}")


def _one(place: Place, key: str) -> Row:
    """One effect, with its result.

    Raises:
        UnknownId: there is none of this key.
    """
    kept = _kept(place)
    if kept is None:
        told = _call(place, "effects", {"key": key, "swarmId": place.swarm})
        return _of_tool(told["effects"][0])
    from visionflow.compose.outside import result_of, rows_of

    for row in rows_of(kept):
        if row.key == key:
            return _row(row, result_of(kept, row))
    raise UnknownId(
        f"No effect in {kept.store.folder} has the key {key!r:.200}.",
        code="unknown_effect",
        hint="`visionflow effects list` has them.",
    )


def _kept(place: Place) -> "Kept | None":
    """The folder that is meant; `None`: a server.

    Raises:
        UsageError: more than one place is named.
    """
    from visionflow.compose.outside import of_folder, of_run

    named = [each for each in (place.server or place.swarm, place.run, place.folder) if each]
    if len(named) > 1:
        raise UsageError(
            "--server and --swarm, --run, and --folder are three places.", hint="Name one of them."
        )
    if place.run is not None:
        from visionflow.compose.job import find_run

        return of_run(find_run(place.out, place.run))
    return None if place.folder is None else of_folder(place.folder)


def _served(place: Place, statuses: list[str], task: str | None) -> list[Row]:
    """All effects of a server's swarm that meet what is given, page by page."""
    rows: list[Row] = []
    given: Row = {"swarmId": place.swarm, "status": statuses, "taskId": task, "limit": 1_000}
    cursor: str | None = ""
    while cursor is not None:
        told = _call(place, "effects", {**given, "cursor": cursor or None})
        rows += [_of_tool(each) for each in told["effects"]]
        given["swarmId"], cursor = told["swarmId"], told["nextCursor"]
    return rows


def _call(place: Place, tool: str, given: Row) -> dict[str, Any]:
    from visionflow.cli.reaching import client_of

    async def ask() -> dict[str, Any]:
        async with client_of(place.server) as client:
            return await client.call(tool, {k: v for k, v in given.items() if v is not None})

    return asyncio.run(ask())


def _of_tool(told: dict[str, Any]) -> Row:
    return {name: told[wire] for name, wire in _FROM_TOOL.items()}


def _row(row: "EffectRow", result: Any) -> Row:
    from visionflow.compose.job.folder import iso

    return {
        "key": row.key,
        "name": row.name,
        "class": row.kind,
        "status": row.status,
        "task": row.task,
        "attempt": row.attempt,
        "request": row.request,
        "reason": row.reason,
        "resolution": row.resolution,
        "by": row.by,
        "note": row.note,
        "result": result,
        "reserved": iso(row.reserved_ms),
        "changed": iso(row.changed_ms),
    }


def _lines(row: Row, *, whole: bool) -> list[str]:
    from visionflow.agents.tools.text import one_line
    from visionflow.cli.terminal import Paint, colours, plain

    paint = Paint(colours(sys.stdout))
    style = {"settled": "good", "in_doubt": "bad", "reserved": "unsure"}.get(row["status"], "faint")
    stands = row["status"] + (f" as {row['resolution']}" if row["resolution"] else "")
    what = f"{one_line(row['request'] or row['name'])}, class {row['class']}"
    whose = f"of {row['task']}, attempt {row['attempt']}, {row['reserved']}"
    lines = [f"{plain(row['key'])}  {paint(style, stands)}", f"  {what}, {whose}"]
    if row["reason"]:
        lines.append(f"  {one_line(row['reason'], 400)}")
    if row["by"]:
        lines.append(f"  {one_line(row['by'])}: {one_line(row['note'], 400)}")
    if whole and row["result"] is not None:
        lines.append(f"  result: {one_line(_text(row['result']), 2_000)}")
    if whole and row["status"] == "in_doubt":
        lines.append("  Find out what became of it, then: visionflow effects resolve --help")
    return lines


def _text(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def _print_json(value: object) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode(), flush=True)


def _json_in(text: str) -> Any:
    """A value from the command line.

    Raises:
        UsageError: it is no JSON.
    """
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"--result is no JSON: {error}.", hint="Write a text in quotes: '\"text\"'."
        ) from error


def _user() -> str:
    import os
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())

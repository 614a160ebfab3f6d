"""Resources: what the reading tools tell, and what runs leave on disk, by address.

A resource of a swarm, an agent or a task is the result of a tool, so that it is checked, settled
and told as there; only its address is made here. Of a run, the files of its folder are served.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from visionflow.domain.access import READERS
from visionflow.domain.errors import UnknownId
from visionflow.interfaces.jobs import Report
from visionflow.interfaces.mcp.calls import Calls
from visionflow.interfaces.mcp.links import Context, caller_of, told_as_errors
from visionflow.interfaces.server import Server

JSON = "application/json"
FILE_BYTES_MAX = 4 * 1024 * 1024
FILES = {
    "report.md": "text/markdown",
    "report.html": "text/html",
    "summary.json": JSON,
    "findings.sarif": "application/sarif+json",
    "changes.patch": "text/x-diff",
    "junit.xml": "application/xml",
    "coverage.xml": "application/xml",
    "plan.yaml": "application/yaml",
}
"""Of a run's folder, those that are served."""
_LISTED = ("report.md", "findings.sarif", "changes.patch")
_ADDRESS = re.compile(r"visionflow://([a-z]+)(?:/([^/?#]+))?(?:/([^/?#]+))?(?:\?([^#]*))?")


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Resources that are results of one tool."""

    what: str
    """The first part of the address."""
    of: str | None = None
    """The last part of the address."""
    tool: str
    argument: str | None = None
    """The tool's argument that the id is for."""
    query: tuple[str, ...] = ()
    """Arguments that the address may have after its `?`."""
    description: str

    @property
    def template(self) -> str:
        """Its address as RFC 6570 has it."""
        middle = "" if self.argument is None else "/{id}"
        last = "" if self.of is None else f"/{self.of}"
        return f"visionflow://{self.what}{middle}{last}" + (
            "{?" + ",".join(self.query) + "}" if self.query else ""
        )


KINDS = (
    Kind(what="server", tool="server_info", description="What this server is and can do."),
    Kind(
        what="swarm",
        tool="swarm_status",
        argument="swarmId",
        description="A swarm: its agents, its queue, its figures.",
    ),
    Kind(
        what="swarm",
        of="events",
        tool="events",
        argument="swarmId",
        query=("since", "limit", "cursor"),
        description="What happened in a swarm, in pages of its log.",
    ),
    Kind(
        what="agent",
        tool="agent_status",
        argument="agentId",
        description="An agent: what it is, does and did.",
    ),
    Kind(
        what="task",
        tool="task_status",
        argument="taskId",
        description="A task: how far it is, or what it waits for.",
    ),
    Kind(
        what="task",
        of="result",
        tool="task_results",
        argument="taskId",
        description="What came of a task.",
    ),
)


class Resources:
    """All of them. Belongs to the loop's thread."""

    def __init__(self, server: Server, calls: Calls) -> None:
        self._server = server
        self._calls = calls
        self._kinds = [kind for kind in KINDS if kind.tool in calls.registry.tools]

    async def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """As `resources/list` has them: the server, open swarms, and runs that left something."""
        found: list[dict[str, Any]] = []
        if any(kind.argument is None for kind in self._kinds):
            found.append(_entry("visionflow://server", "server", KINDS[0].description, JSON))
        if any(kind.what == "swarm" for kind in self._kinds):
            found += [self._swarm(swarm.id, swarm.spec.name) for swarm in self._server.swarms.all()]
        for report in await self._reports():
            present = await _in_thread(lambda r=report: [n for n in _LISTED if _is(r, n)])
            for name in present:
                about = f"{name} of a run ({report.status})."
                uri = f"visionflow://run/{quote(report.run)}/{name}"
                found.append(_entry(uri, f"{report.run}/{name}", about, FILES[name]))
        return [(each["uri"], each) for each in found]

    def templates(self) -> list[tuple[str, dict[str, Any]]]:
        """As `resources/templates/list` has them."""
        found = [
            _template(kind.template, kind.of or kind.what, kind.description, JSON)
            for kind in self._kinds
            if kind.argument is not None
        ]
        about = f"A file that a run left: {', '.join(FILES)}."
        found.append(_template("visionflow://run/{id}/{file}", "run", about, None))
        return [(each["uriTemplate"], each) for each in found]

    async def read(self, ctx: Context, uri: str) -> dict[str, Any] | None:
        """What stands at an address; `None` when it is none of ours.

        Raises:
            MCPError: it is one of ours and cannot be told.
        """
        match = _ADDRESS.fullmatch(uri)
        if match is None:
            return None
        what, name, last, query = match.groups()
        with told_as_errors(uri=uri):
            if what == "run":
                return await self._file(ctx, uri, unquote(name or ""), unquote(last or ""))
            return await self._told(ctx, uri, (what, name, last), query)

    def complete(self, template: str, argument: str, begun: str) -> list[str] | None:
        """Ids or files that fit a place of a template; `None` for no template of ours."""
        if not template.startswith("visionflow://"):
            return None
        found: list[str] = []
        if argument == "file":
            found = list(FILES)
        elif argument == "id" and template.startswith("visionflow://swarm/"):
            found = [swarm.id for swarm in self._server.swarms.all()]
        elif argument == "id" and template.startswith("visionflow://agent/"):
            found = [a for swarm in self._server.swarms.all() for a in swarm.state.agents]
        return [each for each in found if each.startswith(begun)]

    async def _told(
        self, ctx: Context, uri: str, address: tuple[str, str | None, str | None], query: str | None
    ) -> dict[str, Any] | None:
        what, name, last = address
        for kind in self._kinds:
            if (kind.what, kind.of, kind.argument is None) != (what, last, name is None):
                continue
            arguments: dict[str, object] = {}
            if kind.argument is not None:
                arguments[kind.argument] = unquote(name or "")
            for key, value in parse_qsl(query or ""):
                if key not in kind.query:
                    return None
                arguments[key] = value
            result = await self._calls.ask(ctx, kind.tool, arguments, texts=True)
            return _contents(uri, JSON, msgspec.json.encode(result).decode())
        return None

    async def _file(self, ctx: Context, uri: str, run: str, name: str) -> dict[str, Any] | None:
        if name not in FILES or caller_of(ctx).role not in READERS:
            return None
        for report in await self._reports():
            if report.run == run:
                content = await _in_thread(partial(_content, report.folder / name))
                return _contents(uri, FILES[name], content)
        raise UnknownId(f"There is no run {run[:80]!r}.", hint="resources/list has them all.")

    async def _reports(self) -> list[Report]:
        return await _in_thread(self._server.jobs.runs)

    def _swarm(self, swarm: str, name: str | None) -> dict[str, Any]:
        return _entry(
            f"visionflow://swarm/{quote(swarm)}", name or swarm, KINDS[1].description, JSON
        )


async def _in_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def _is(report: Report, name: str) -> bool:
    return (report.folder / name).is_file()


def _content(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size <= FILE_BYTES_MAX:
            return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnknownId(f"The run left no {path.name} (yet).") from error
    raise UnknownId(f"{path.name} has {size} bytes, too many to send.", hint=f"It is {path}.")


def _contents(uri: str, kind: str, text: str) -> dict[str, Any]:
    return {"contents": [{"uri": uri, "mimeType": kind, "text": text}]}


def _entry(uri: str, name: str, description: str, kind: str) -> dict[str, Any]:
    return {"uri": uri, "name": name, "description": description, "mimeType": kind}


def _template(uri: str, name: str, description: str, kind: str | None) -> dict[str, Any]:
    entry = {"uriTemplate": uri, "name": name, "description": description}
    return entry if kind is None else {**entry, "mimeType": kind}

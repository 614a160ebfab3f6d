"""A server with its ports open, in this process, and requests to it as programs make them."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.compose.serve.ports import OpenPorts, open_ports
from visionflow.settings.server import ServerSettings

T = TypeVar("T")
PATIENCE_S = 60.0
JSON = {"Content-Type": "application/json"}


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's word."""
        return self.json["error"]["code"]


class Web:
    """An open server, and how it is asked."""

    def __init__(self, opened: OpenServer, ports: OpenPorts) -> None:
        self.opened = opened
        self.server = opened.server
        self.web = _place(ports.endpoints["web"])
        self.main = _place(ports.endpoints["tcp"])

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        main: bool = False,
        raw: bytes | None = None,
        **headers: str,
    ) -> Reply:
        """One request on a connection of its own; `main`: to port 9500."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content = raw
        if body is not None:
            content = msgspec.json.encode(body)
        if content is not None and "content-type" not in given:
            given["content-type"] = "application/json"
        return await asyncio.to_thread(
            ask, *(self.main if main else self.web), method, path, content, given
        )


def ask(
    host: str, port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Reply:
    """A request, in this thread."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())
    finally:
        connection.close()


def _place(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host, int(port)


def settings_in(folder: Path, **more: Any) -> ServerSettings:
    """Settings of a server that keeps everything below this folder, on ports that are free."""
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "home": str(folder / "home"),
        "workspaces": (str(workspace),),
        "tcp_port": 0,
        "web_port": 0,
    }
    return ServerSettings(**{**given, **more})


def with_web(settings: ServerSettings, use: Callable[[Web], Awaitable[T]]) -> T:
    """Open a server with its ports, use it, close it; all within bounds of time."""

    async def run() -> T:
        opened = await open_server(settings)
        try:
            ports = await open_ports(opened)
            opened.server.ready = True
            try:
                return await asyncio.wait_for(use(Web(opened, ports)), PATIENCE_S)
            finally:
                await asyncio.wait_for(ports.close(), PATIENCE_S)
        finally:
            await asyncio.wait_for(opened.close(kill=True), PATIENCE_S)

    return asyncio.run(run())

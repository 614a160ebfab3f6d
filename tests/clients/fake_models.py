"""Stand-ins for the APIs of models: they say what a script tells them to, in each API's own form.

A script is a function of the results so far. It gives the next tool to call with its arguments, or
a text, which ends the conversation. What the assistant really does with that is the assistant's.
"""

import json
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Refused:
    """An answer that is an error: of the status, in the form of each API."""

    status: int
    kind: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


Step = tuple[str, dict[str, Any]] | str | Refused
Script = Callable[[list[str]], Step]
"""From the texts of all results so far to what the model does next."""


@dataclass
class Model:
    """A fake model that is served."""

    script: Script
    scripts: Mapping[str, Script] = field(default_factory=dict)
    """Of conversations that hold the word; `script` is for all others."""
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Every request's body that had tools."""
    failed: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    """The status of every answer that was an error by the script."""
    keys: list[str] = field(default_factory=list)
    """What let each request in: `Bearer ...`, or a key."""


class _Refusing(Exception):
    def __init__(self, answer: Refused) -> None:
        super().__init__(answer.message)
        self.answer = answer


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self._send(200, "application/json", b"")

    def do_GET(self) -> None:
        self._send(200, "application/json", b'{"data": [], "models": []}')

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        path = self.path.partition("?")[0]
        key = self.headers.get("authorization") or self.headers.get("x-api-key")
        self.model.keys.append(key or "")
        try:
            if path.endswith("/messages"):
                found = _as_anthropic(self.model, body)
            elif path.endswith("/responses"):
                found = _as_openai(self.model, body)
            else:
                self._send(200, "application/json", b'{"input_tokens": 1}')
                return
        except _Refusing as refusing:
            self._refuse(refusing.answer, path.endswith("/messages"))
            return
        except Exception as error:
            self.model.failed.append(repr(error))
            self._send(500, "application/json", b"{}")
            return
        events = [f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in found]
        self._send(200, "text/event-stream", "".join(events).encode())

    def _refuse(self, answer: Refused, anthropic: bool) -> None:
        self.model.refused.append(answer.status)
        error = {"type": answer.kind, "message": answer.message}
        body: dict[str, Any] = {"error": {**error, "code": answer.kind}}
        if anthropic:
            body = {"type": "error", "error": error, "request_id": "req_1"}
        self._send(answer.status, "application/json", json.dumps(body).encode(), answer.headers)

    def _send(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        with suppress(ConnectionError):  # Whoever asked was ended meanwhile.
            self.end_headers()
            self.wfile.write(body)


def asked_by(model: Model, word: str) -> list[dict[str, Any]]:
    """The requests of conversations that hold this word."""
    return [body for body in list(model.asked) if word in json.dumps(body)]


def _script_of(model: Model, body: dict[str, Any]) -> Script:
    text = json.dumps(body) if model.scripts else ""
    found = [script for word, script in model.scripts.items() if word in text]
    if len(found) > 1:
        raise LookupError("more than one script is for this conversation")
    return found[0] if found else model.script


@contextmanager
def served(script: Script, scripts: Mapping[str, Script] | None = None) -> Generator[Model]:
    """Serve a fake model on loopback; `scripts`: of conversations that hold a word."""
    model = Model(script, scripts or {})
    handler = type("Answering", (_Answering,), {"model": model})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _next(
    model: Model, names: Iterable[str], body: dict[str, Any], results: list[str]
) -> tuple[str, dict[str, Any]] | str:
    known = list(names)
    if not known:
        return "A title."
    model.asked.append(body)
    step = _script_of(model, body)(results)
    if isinstance(step, Refused):
        raise _Refusing(step)
    if isinstance(step, str):
        return step
    name, arguments = step
    fitting = [each for each in known if each == name or each.endswith(f"__{name}")]
    if len(fitting) != 1:
        raise LookupError(f"no tool {name} among {sorted(known)}")
    return fitting[0], arguments


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def _as_anthropic(model: Model, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    results = [
        _text(block.get("content"))
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    step = _next(model, (tool["name"] for tool in body.get("tools", [])), body, results)
    usage = {"input_tokens": 1, "output_tokens": 1}
    if isinstance(step, str):
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta: dict[str, Any] = {"type": "text_delta", "text": step}
        reason = "end_turn"
    else:
        name, arguments = step
        block = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        reason = "tool_use"
    message = {
        "id": f"msg_{len(results)}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [(each["type"], each) for each in told]


def _openai_tools(body: dict[str, Any]) -> dict[str, tuple[str | None, str]]:
    """By one name for each: its namespace, where it has one, and its name in there."""
    found: dict[str, tuple[str | None, str]] = {}
    for tool in body.get("tools", []):
        if tool["type"] == "namespace":
            for inner in tool["tools"]:
                found[f"{tool['name']}__{inner['name']}"] = (tool["name"], inner["name"])
        elif "name" in tool:
            found[tool["name"]] = (None, tool["name"])
    return found


def _as_openai(model: Model, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    tools = _openai_tools(body)
    results = [
        _text(item["output"]) for item in body["input"] if item["type"] == "function_call_output"
    ]
    step = _next(model, tools, body, results)
    if isinstance(step, str):
        item: dict[str, Any] = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": step, "annotations": []}],
        }
    else:
        namespace, name = tools[step[0]]
        item = {
            "type": "function_call",
            "id": f"fc_{len(results)}",
            "call_id": f"call_{len(results)}",
            "name": name,
            "arguments": json.dumps(step[1]),
            "status": "completed",
        } | ({} if namespace is None else {"namespace": namespace})
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    response = {"id": f"resp_{len(results)}", "object": "response", "status": "completed"}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "output": [item], "usage": usage}},
    ]
    return [(each["type"], {**each, "sequence_number": n}) for n, each in enumerate(told)]

"""What the conformance suites ask a server to have. Only tests load it: the product has none of it.

The words, names and numbers are those of the suite's scenarios. It is a server of the SDK whose
handlers our own app asks for what it does not have itself (see `interfaces/mcp/guest.py`).
"""

import asyncio
import base64
import json
from typing import Annotated, Any

from conformance_asking import answered, elicit, fixtures, text
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import (
    AudioContent,
    CallToolRequestParams,
    Completion,
    CompletionArgument,
    CompletionContext,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    JSONRPCMessage,
    PromptReference,
    ResourceTemplateReference,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from visionflow.interfaces.mcp.guest import AsTask, Guest

IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAA"
    "AABJRU5ErkJggg=="
)
AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


# Tools with content of every kind --------------------------------------------------------------


@fixtures.tool()
def test_simple_text() -> str:
    """Gives a text."""
    return "This is a simple text response for testing."


@fixtures.tool()
def test_image_content() -> list[ImageContent]:
    """Gives an image."""
    return [ImageContent(type="image", data=IMAGE, mime_type="image/png")]


@fixtures.tool()
def test_audio_content() -> list[AudioContent]:
    """Gives a sound."""
    return [AudioContent(type="audio", data=AUDIO, mime_type="audio/wav")]


@fixtures.tool()
def test_embedded_resource() -> list[EmbeddedResource]:
    """Gives a resource."""
    return [_embedded("test://embedded-resource", "This is an embedded resource content.")]


def _embedded(uri: str, text: str, kind: str = "text/plain") -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=kind, text=text)
    return EmbeddedResource(type="resource", resource=contents)


@fixtures.tool()
def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Gives a text, an image and a resource."""
    data = '{"test": "data", "value": 123}'
    return [
        text("Multiple content types test:"),
        ImageContent(type="image", data=IMAGE, mime_type="image/png"),
        _embedded("test://mixed-content-resource", data, "application/json"),
    ]


@fixtures.tool()
async def test_tool_with_logging(ctx: Context) -> str:
    """Sends log messages."""
    for what in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(what)
        await asyncio.sleep(0.05)
    return "Tool with logging executed successfully"


@fixtures.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """Tells progress."""
    for done in (0, 50, 100):
        message = f"Completed step {done} of 100"
        await ctx.report_progress(progress=done, total=100, message=message)
        await asyncio.sleep(0.05)
    meta = ctx.request_context.meta
    return str(meta.get("progress_token") if meta else 0)


@fixtures.tool()
def test_error_handling() -> str:
    """Fails."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@fixtures.tool()
def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "<none>",
) -> str:
    """Has an argument that stands in a header too."""
    return f"region={region}"


@fixtures.tool()
async def test_reconnection(ctx: Context) -> str:
    """Closes its stream while it is called."""
    await ctx.info("Before disconnect")
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    await ctx.info("After reconnect")
    return "Reconnection test completed"


@fixtures.tool()
async def test_trigger_tool_change(ctx: Context) -> str:
    """Says that the list of tools changed."""
    await ctx.notify_tools_changed()
    return "tool list changed"


@fixtures.tool()
async def test_trigger_prompt_change(ctx: Context) -> str:
    """Says that the list of prompts changed."""
    await ctx.notify_prompts_changed()
    return "prompt list changed"


# Asking the client while a call is under way: the handshake revisions ----------------------------


@fixtures.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    result = await ctx.session.create_message(
        messages=[SamplingMessage(role="user", content=text(prompt))],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    told = result.content.text if result.content.type == "text" else "No response"
    return f"LLM response: {told}"


class UserResponse(BaseModel):
    """What is asked for."""

    response: str = Field(description="User's response")


async def _asked(ctx: Context, message: str, schema: type[BaseModel]) -> str:
    result = await ctx.elicit(message=message, schema=schema)
    content = result.data.model_dump_json() if result.action == "accept" else "{}"
    return f"action={result.action}, content={content}"


@fixtures.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the user."""
    return f"User response: {await _asked(ctx, message, UserResponse)}"


class Defaults(BaseModel):
    """A default of each kind."""

    name: str = Field(default="John Doe")
    age: int = Field(default=30)
    score: float = Field(default=95.5)
    status: str = Field(
        default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]}
    )
    verified: bool = Field(default=True)


@fixtures.tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks with defaults."""
    asked = await _asked(ctx, "Please provide user information", Defaults)
    return f"Elicitation result: {asked}"


def _choices(**titles: str) -> list[dict[str, str]]:
    return [{"const": value, "title": title} for value, title in titles.items()]


class Enums(BaseModel):
    """A choice of each kind."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})
    titledSingle: str = Field(
        json_schema_extra={
            "oneOf": _choices(low="Low Priority", medium="Medium Priority", high="High Priority")
        }
    )
    untitledMulti: list[str] = Field(
        json_schema_extra={"items": {"type": "string", "enum": ["read", "write", "execute"]}}
    )
    titledMulti: list[str] = Field(
        json_schema_extra={
            "items": {"anyOf": _choices(feature="New Feature", bug="Bug Fix", docs="Documentation")}
        }
    )
    legacyEnum: str = Field(
        json_schema_extra={
            "enum": ["small", "medium", "large"],
            "enumNames": ["Small Size", "Medium Size", "Large Size"],
        }
    )


@fixtures.tool()
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks with choices."""
    return f"Elicitation completed: {await _asked(ctx, 'Please select values', Enums)}"


_TASKS: dict[str, AsTask] = {
    "slow_compute": "may",
    "failing_job": "must",
    "protocol_error_job": "may",
    "confirm_delete": "may",
    "multi_input": "may",
    "test_tool_with_task": "must",
}


def as_task(params: CallToolRequestParams) -> AsTask:
    """Which calls are tasks."""
    if params.name == "test_tool_with_task" and not params.input_responses:
        return "no"
    return _TASKS.get(params.name, "no")


# A schema with everything -------------------------------------------------------------------------

_ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": _ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@fixtures.tool()
def json_schema_2020_12_tool() -> str:
    """Has a schema with every keyword (put in below)."""
    return "json_schema_2020_12_tool"


fixtures._tool_manager._tools["json_schema_2020_12_tool"].parameters = JSON_SCHEMA


# Resources, prompts, completions ------------------------------------------------------------------


@fixtures.resource("test://static-text")
def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


@fixtures.resource("test://static-binary")
def static_binary() -> bytes:
    """An image."""
    return base64.b64decode(IMAGE)


@fixtures.resource("test://template/{id}/data")
def template(id: str) -> str:
    """A resource with a place in its address."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@fixtures.resource("test://watched-resource")
def watched() -> str:
    """A resource to subscribe to."""
    return "Watched resource content"


@fixtures.prompt()
def test_simple_prompt() -> list[UserMessage]:
    """A prompt without arguments."""
    return [UserMessage(text("This is a simple prompt for testing."))]


@fixtures.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt with arguments."""
    return [UserMessage(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


@fixtures.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt with a resource in it."""
    return [
        UserMessage(_embedded(resourceUri, "Embedded resource content for testing.")),
        UserMessage(text("Please process the embedded resource above.")),
    ]


@fixtures.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image in it."""
    return [
        UserMessage(ImageContent(type="image", data=IMAGE, mime_type="image/png")),
        UserMessage(text("Please analyze the image above.")),
    ]


@fixtures.prompt()
async def test_input_required_result_prompt(
    ctx: Context,
) -> list[UserMessage] | InputRequiredResult:
    """A prompt that asks first."""
    if "user_context" in (ctx.input_responses or {}):
        told = answered(ctx.input_responses, "user_context", "context")
        return [UserMessage(text(f"Use the following context: {told}"))]
    asked = {"user_context": elicit("What context should the prompt use?", "context")}
    return InputRequiredResult(input_requests=asked)


@fixtures.completion()
async def complete(
    ref: PromptReference | ResourceTemplateReference,
    argument: CompletionArgument,
    context: CompletionContext | None,
) -> Completion:
    """Nothing to complete."""
    return Completion(values=[], total=0, has_more=False)


# What the handshake revisions have besides --------------------------------------------------


async def _ignore(ctx: Any, params: Any) -> EmptyResult:
    return EmptyResult()


def install(protocol: Server[Any]) -> None:
    """Serve on our server what the suites ask for beyond lists and calls."""
    source = fixtures._lowlevel_server
    protocol.add_request_handler("logging/setLevel", SetLevelRequestParams, _ignore)
    protocol.add_request_handler("resources/subscribe", SubscribeRequestParams, _ignore)
    protocol.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _ignore)
    listen = source.get_request_handler("subscriptions/listen")
    assert listen is not None
    protocol.add_request_handler("subscriptions/listen", listen.params_type, listen.handler)
    # It seals what a tool wants to get back.
    protocol.middleware += [each for each in source.middleware if each not in protocol.middleware]


def guest() -> Guest:
    """All of it."""
    return Guest(fixtures._lowlevel_server, as_task, input_schema)


def input_schema(name: str) -> dict[str, Any] | None:
    """The schema of a tool's arguments."""
    tool = fixtures._tool_manager._tools.get(name)
    return None if tool is None else tool.parameters


class Events(EventStore):
    """Keeps what was sent, so that a client can take a stream up again."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep one; its id."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send what came after that one on its stream."""
        last = int(last_event_id) if last_event_id.isdigit() else 0
        if not 0 < last <= len(self._events):
            return None
        stream = self._events[last - 1][0]
        for number, (of, message) in enumerate(self._events[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream

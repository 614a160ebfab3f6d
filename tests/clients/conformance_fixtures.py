"""What the conformance suites ask a server to have. Only tests load it: the product has none of it.

The words, names and numbers are those of the suite's scenarios. It is a server of the SDK whose
handlers our own app asks for what it does not have itself (see `interfaces/mcp/guest.py`).
"""

import asyncio
import base64
import json
from typing import Annotated, Any

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    Completion,
    CompletionArgument,
    CompletionContext,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    JSONRPCMessage,
    ListRootsRequest,
    ListRootsResult,
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
STATE_KEY = b"a key of the fixtures, at least 32 bytes long"

fixtures = MCPServer(
    name="fixtures",
    version="1",
    request_state_security=RequestStateSecurity(keys=[STATE_KEY]),
)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _elicit(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, tokens: int) -> CreateMessageRequest:
    messages = [SamplingMessage(role="user", content=_text(text))]
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=messages, max_tokens=tokens)
    )


def _answered(responses: Any, key: str, field: str) -> Any:
    answer = (responses or {}).get(key)
    return (
        answer.content.get(field) if isinstance(answer, ElicitResult) and answer.content else None
    )


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
        _text("Multiple content types test:"),
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
        messages=[SamplingMessage(role="user", content=_text(prompt))],
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


# Asking the client between calls: 2026-07-28 ------------------------------------------------------


@fixtures.tool()
async def test_missing_capability(ctx: Context) -> str:
    """Needs a client that can sample."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool requires the client 'sampling' capability",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return "Client declared sampling capability; proceeding."


@fixtures.tool()
async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
    """Asks the user for a name."""
    if "user_name" in (ctx.input_responses or {}):
        return f"Hello, {_answered(ctx.input_responses, 'user_name', 'name')}!"
    return InputRequiredResult(input_requests={"user_name": _elicit("What is your name?", "name")})


@fixtures.tool()
async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
    """Asks the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if isinstance(answer, CreateMessageResult) and answer.content.type == "text":
        return f"Model said: {answer.content.text}"
    return InputRequiredResult(
        input_requests={"capital_question": _sample("What is the capital of France?", 100)}
    )


@fixtures.tool()
async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
    """Asks for the client's roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if isinstance(answer, ListRootsResult):
        return f"Client exposed {len(answer.roots)} root(s)."
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


@fixtures.tool()
async def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
    """Gets its state back."""
    if "confirm" in (ctx.input_responses or {}) and ctx.request_state == "request-state-nonce":
        return "state-ok: confirmation received"
    asked = {"confirm": _elicit("Please confirm", "ok", "boolean")}
    return InputRequiredResult(input_requests=asked, request_state="request-state-nonce")


@fixtures.tool()
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
    """Asks three things at once."""
    if {"user_name", "greeting", "client_roots"} <= (ctx.input_responses or {}).keys():
        return "All inputs received."
    asked: dict[str, InputRequest] = {
        "user_name": _elicit("What is your name?", "name"),
        "greeting": _sample("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    return InputRequiredResult(input_requests=asked, request_state="multiple-inputs")


@fixtures.tool()
async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
    """Asks one thing after the other."""
    state = json.loads(ctx.request_state) if ctx.request_state else {"round": 0}
    responses = ctx.input_responses or {}
    if state["round"] == 1 and "step1" in responses:
        name = _answered(responses, "step1", "name")
        asked = {"step2": _elicit("Step 2: What is your favorite color?", "color")}
        following = json.dumps({"round": 2, "name": name})
        return InputRequiredResult(input_requests=asked, request_state=following)
    if state["round"] == 2 and "step2" in responses:
        return f"{state['name']} likes {_answered(responses, 'step2', 'color')}."
    asked = {"step1": _elicit("Step 1: What is your name?", "name")}
    return InputRequiredResult(input_requests=asked, request_state=json.dumps({"round": 1}))


@fixtures.tool()
async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
    """Its state must come back as it was."""
    if ctx.request_state is None:
        asked = {"confirm": _elicit("Please confirm", "ok", "boolean")}
        return InputRequiredResult(input_requests=asked, request_state="round-1")
    return f"state-ok: {ctx.request_state}"


@fixtures.tool()
async def test_input_required_result_capabilities(ctx: Context) -> InputRequiredResult:
    """Asks only for what the client can do."""
    capabilities = ctx.client_capabilities
    asked: dict[str, InputRequest] = {}
    if capabilities is None or capabilities.sampling is not None:
        asked["sample"] = _sample("Say hello", 50)
    if capabilities is None or capabilities.elicitation is not None:
        asked["ask"] = _elicit("What is your name?", "name")
    return InputRequiredResult(input_requests=asked, request_state="capability-gated")


# The tasks extension ----------------------------------------------------------------------------


@fixtures.tool()
def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


@fixtures.tool()
async def slow_compute(seconds: float, label: str = "") -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return f"computed {label} in {seconds} s"


@fixtures.tool()
async def failing_job() -> str:
    """Fails as a tool does."""
    await asyncio.sleep(0.1)
    raise RuntimeError("the job failed")


@fixtures.tool()
async def protocol_error_job() -> str:
    """Fails as a protocol does."""
    raise MCPError(INTERNAL_ERROR, "the job broke the protocol")


@fixtures.tool()
async def confirm_delete(filename: str, ctx: Context) -> str | InputRequiredResult:
    """Asks before it does what it does not do."""
    if "confirm" in (ctx.input_responses or {}):
        confirmed = _answered(ctx.input_responses, "confirm", "confirm")
        return f"{filename}: {'deleted' if confirmed else 'kept'}"
    asked = {"confirm": _elicit(f"Delete {filename}?", "confirm", "boolean")}
    return InputRequiredResult(input_requests=asked)


@fixtures.tool()
async def multi_input(ctx: Context) -> str | InputRequiredResult:
    """Asks two things at once."""
    if {"name", "confirm"} <= (ctx.input_responses or {}).keys():
        return "both answered"
    asked: dict[str, InputRequest] = {
        "name": _elicit("What is your name?", "name"),
        "confirm": _elicit("Go on?", "confirm", "boolean"),
    }
    return InputRequiredResult(input_requests=asked)


@fixtures.tool()
async def test_tool_with_task(ctx: Context) -> str | InputRequiredResult:
    """Asks first, and becomes a task then."""
    if "user_name" in (ctx.input_responses or {}):
        return f"Hello, {_answered(ctx.input_responses, 'user_name', 'name')}!"
    return InputRequiredResult(input_requests={"user_name": _elicit("What is your name?", "name")})


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
    return [UserMessage(_text("This is a simple prompt for testing."))]


@fixtures.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt with arguments."""
    return [UserMessage(_text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


@fixtures.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt with a resource in it."""
    return [
        UserMessage(_embedded(resourceUri, "Embedded resource content for testing.")),
        UserMessage(_text("Please process the embedded resource above.")),
    ]


@fixtures.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image in it."""
    return [
        UserMessage(ImageContent(type="image", data=IMAGE, mime_type="image/png")),
        UserMessage(_text("Please analyze the image above.")),
    ]


@fixtures.prompt()
async def test_input_required_result_prompt(
    ctx: Context,
) -> list[UserMessage] | InputRequiredResult:
    """A prompt that asks first."""
    if "user_context" in (ctx.input_responses or {}):
        told = _answered(ctx.input_responses, "user_context", "context")
        return [UserMessage(_text(f"Use the following context: {told}"))]
    asked = {"user_context": _elicit("What context should the prompt use?", "context")}
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

"""The conformance suites' tools that ask their client for something before they are done, and those
that are called as tasks. The words are those of the scenarios."""

import asyncio
import json
from typing import Any

from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

STATE_KEY = b"a key of the fixtures, at least 32 bytes long"

fixtures = MCPServer(
    name="fixtures",
    version="1",
    request_state_security=RequestStateSecurity(keys=[STATE_KEY]),
)


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def elicit(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(asked: str, tokens: int) -> CreateMessageRequest:
    messages = [SamplingMessage(role="user", content=text(asked))]
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=messages, max_tokens=tokens)
    )


def answered(responses: Any, key: str, field: str) -> Any:
    answer = (responses or {}).get(key)
    return (
        answer.content.get(field) if isinstance(answer, ElicitResult) and answer.content else None
    )


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
        return f"Hello, {answered(ctx.input_responses, 'user_name', 'name')}!"
    return InputRequiredResult(input_requests={"user_name": elicit("What is your name?", "name")})


@fixtures.tool()
async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
    """Asks the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if isinstance(answer, CreateMessageResult) and answer.content.type == "text":
        return f"Model said: {answer.content.text}"
    return InputRequiredResult(
        input_requests={"capital_question": sample("What is the capital of France?", 100)}
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
    asked = {"confirm": elicit("Please confirm", "ok", "boolean")}
    return InputRequiredResult(input_requests=asked, request_state="request-state-nonce")


@fixtures.tool()
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
    """Asks three things at once."""
    if {"user_name", "greeting", "client_roots"} <= (ctx.input_responses or {}).keys():
        return "All inputs received."
    asked: dict[str, InputRequest] = {
        "user_name": elicit("What is your name?", "name"),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    return InputRequiredResult(input_requests=asked, request_state="multiple-inputs")


@fixtures.tool()
async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
    """Asks one thing after the other."""
    state = json.loads(ctx.request_state) if ctx.request_state else {"round": 0}
    responses = ctx.input_responses or {}
    if state["round"] == 1 and "step1" in responses:
        name = answered(responses, "step1", "name")
        asked = {"step2": elicit("Step 2: What is your favorite color?", "color")}
        following = json.dumps({"round": 2, "name": name})
        return InputRequiredResult(input_requests=asked, request_state=following)
    if state["round"] == 2 and "step2" in responses:
        return f"{state['name']} likes {answered(responses, 'step2', 'color')}."
    asked = {"step1": elicit("Step 1: What is your name?", "name")}
    return InputRequiredResult(input_requests=asked, request_state=json.dumps({"round": 1}))


@fixtures.tool()
async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
    """Its state must come back as it was."""
    if ctx.request_state is None:
        asked = {"confirm": elicit("Please confirm", "ok", "boolean")}
        return InputRequiredResult(input_requests=asked, request_state="round-1")
    return f"state-ok: {ctx.request_state}"


@fixtures.tool()
async def test_input_required_result_capabilities(ctx: Context) -> InputRequiredResult:
    """Asks only for what the client can do."""
    capabilities = ctx.client_capabilities
    asked: dict[str, InputRequest] = {}
    if capabilities is None or capabilities.sampling is not None:
        asked["sample"] = sample("Say hello", 50)
    if capabilities is None or capabilities.elicitation is not None:
        asked["ask"] = elicit("What is your name?", "name")
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
        confirmed = answered(ctx.input_responses, "confirm", "confirm")
        return f"{filename}: {'deleted' if confirmed else 'kept'}"
    asked = {"confirm": elicit(f"Delete {filename}?", "confirm", "boolean")}
    return InputRequiredResult(input_requests=asked)


@fixtures.tool()
async def multi_input(ctx: Context) -> str | InputRequiredResult:
    """Asks two things at once."""
    if {"name", "confirm"} <= (ctx.input_responses or {}).keys():
        return "both answered"
    asked: dict[str, InputRequest] = {
        "name": elicit("What is your name?", "name"),
        "confirm": elicit("Go on?", "confirm", "boolean"),
    }
    return InputRequiredResult(input_requests=asked)


@fixtures.tool()
async def test_tool_with_task(ctx: Context) -> str | InputRequiredResult:
    """Asks first, and becomes a task then."""
    if "user_name" in (ctx.input_responses or {}):
        return f"Hello, {answered(ctx.input_responses, 'user_name', 'name')}!"
    return InputRequiredResult(input_requests={"user_name": elicit("What is your name?", "name")})

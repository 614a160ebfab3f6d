"""The whole registry: small enough to be listed, valid, and true to its own examples."""

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from served import settings_in, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import NotBuilt, UnknownTool, UsageError
from visionflow.interfaces.mcp.wording import tool_entry
from visionflow.interfaces.tools.all import LATER, ORDER
from visionflow.interfaces.tools.arguments import fields_of, parse
from visionflow.interfaces.tools.tool import AnyTool, Registry

ADMIN = Caller(name="local:tests", role=Role.ADMIN, face="python", client="c")
TOOLS_MAX, LISTED_BYTES_MAX, LISTED_TOKENS_MAX = 48, 48_000, 6_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    async def made(opened: OpenServer) -> Registry:
        return Tools(opened).registry

    return with_core(settings_in(tmp_path_factory.mktemp("registry")), made)


def listed(tool: AnyTool, *, outputs: bool) -> bytes:
    """A tool as an MCP server lists it."""
    entry = tool_entry(tool)
    if not outputs:
        del entry["outputSchema"]
    return msgspec.json.encode(entry)


def test_a_list_of_all_tools_stays_small(registry: Registry) -> None:
    tools = registry.tools.values()
    assert len(tools) + len(registry.later) <= TOOLS_MAX
    assert sum(len(listed(each, outputs=True)) for each in tools) <= LISTED_BYTES_MAX
    assert sum(len(listed(each, outputs=False)) for each in tools) / 4 <= LISTED_TOKENS_MAX


def test_every_tool_of_the_contract_is_there_or_to_come_and_none_is_both(
    registry: Registry,
) -> None:
    assert set(registry.tools).isdisjoint(registry.later)
    assert sorted([*registry.tools, *registry.later]) == sorted(ORDER)
    assert len(set(ORDER)) == len(ORDER)
    places = [ORDER.index(name) for name in registry.tools]
    assert places == sorted(places)


def test_every_schema_is_valid_and_every_example_meets_it_and_is_read(registry: Registry) -> None:
    for tool in registry.tools.values():
        for schema in (tool.input_schema, tool.output_schema, tool.listed_output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
        jsonschema.Draft202012Validator(tool.input_schema).validate(tool.example)
        parse(tool.arguments, tool.example)
        assert tool.roles, tool.name
        assert tool.summary.endswith("."), tool.name
        assert "\n" not in tool.summary


def test_what_a_command_line_takes_without_a_name_is_an_argument(registry: Registry) -> None:
    for tool in registry.tools.values():
        for name in tool.positional:
            assert name in tool.input_schema["properties"], (tool.name, name)


def test_a_tool_to_come_says_what_it_waits_for_and_an_unknown_one_is_unknown(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        for name in LATER:
            with pytest.raises(NotBuilt) as refused:
                await tools(name)
            assert refused.value.hint == LATER[name]
        with pytest.raises(UnknownTool, match="Did you mean task_status"):
            await tools("task_statu")

    with_core(settings_in(tmp_path), use)


UNWRITABLE: list[tuple[str, dict[str, Any], str]] = [
    ("task_orchestrate", {"task": {"subtasks": ["a", "b"]}, "parallelism": 10**30}, "parallelism"),
    ("task_orchestrate", {"task": "half of \ud83d a pair"}, "task"),
    ("memory_store", {"key": "k", "value": {"deep": [2**70]}}, "value"),
    ("task_retry", {"taskId": "task_\udc00"}, "taskId"),
    ("swarm_scale", {"targetSize": -(2**80)}, "targetSize"),
]


@pytest.mark.parametrize(("name", "given", "named"), UNWRITABLE)
def test_what_no_log_can_hold_is_refused_by_its_name_before_anything_begins(
    registry: Registry, name: str, given: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=f"^{named} holds .*, which no log can keep"):
        registry.prepare(name, given, ADMIN)


@pytest.mark.parametrize("key", ["", "a" * 201, "nul\x00", "half \ud83d", "two\nlines"])
def test_a_key_is_a_text_that_any_log_can_hold(registry: Registry, key: str) -> None:
    for given, beside in (({"idempotencyKey": key}, None), ({}, key)):
        with pytest.raises(UsageError, match="idempotencyKey"):
            registry.prepare("swarm_init", given, ADMIN, key=beside)


def test_every_length_of_time_says_the_unit_of_a_bare_number(registry: Registry) -> None:
    units = {"seconds": "econds", "milliseconds": "illiseconds"}
    silent = [
        f"{tool.name}.{field.name}"
        for tool in registry.tools.values()
        for field in fields_of(tool.arguments).values()
        if field.form is not None and units.get(field.form.name, "") not in field.description
    ]
    assert silent == []

"""The OpenAPI document is well formed, has every route that is served, and nothing else."""

from functools import cache
from typing import Any

import jsonschema
import pytest

from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.web.openapi import STATUSES, document
from visionflow.interfaces.web.routes import Routes

METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


class _Anything:
    """Stands for a server, of which making the tools asks nothing."""

    def __getattr__(self, name: str) -> Any:
        return _Anything()

    def __call__(self, *given: object, **named: object) -> Any:
        return _Anything()


@cache
def routes() -> Routes:
    server: Any = _Anything()
    return Routes(all_tools(server))


@cache
def told() -> dict[str, Any]:
    return document(routes(), "1.2.3")


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of each."""
    return [
        (path, method, operation)
        for path, item in told()["paths"].items()
        for method, operation in item.items()
    ]


def references(value: Any) -> list[str]:
    """All that a value refers to."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in references(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in references(inner)]
    return []


def test_the_document_says_what_it_is() -> None:
    assert told()["openapi"] == "3.1.0"
    assert told()["info"]["version"] == "1.2.3"
    allowed = {"openapi", "info", "servers", "security", "tags", "paths", "components"}
    assert set(told()) <= allowed


def test_every_reference_leads_somewhere() -> None:
    found = set(references(told()))
    assert len(found) > 50
    for reference in found:
        place: Any = told()
        assert reference.startswith("#/"), reference
        for part in reference[2:].split("/"):
            assert part in place, reference
            place = place[part]


def test_every_schema_is_one() -> None:
    for name, schema in told()["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert all(letter.isalnum() or letter in "._-" for letter in name), name
    for _, _, operation in operations():
        for parameter in operation.get("parameters", ()):
            jsonschema.Draft202012Validator.check_schema(parameter["schema"])


def test_every_operation_is_complete_and_has_a_name_of_its_own() -> None:
    names: list[str] = []
    for path, method, operation in operations():
        assert path.startswith("/")
        assert method in METHODS
        assert operation["summary"]
        assert "200" in operation["responses"]
        for status, answer in operation["responses"].items():
            assert int(status) in STATUSES
            assert "$ref" in answer or answer["description"]
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        given = [(p["name"], p["in"]) for p in operation.get("parameters", ())]
        assert {name for name, place in given if place == "path"} == wanted
        assert len(set(given)) == len(given)
        assert all(p["required"] for p in operation.get("parameters", ()) if p["in"] == "path")
        if "operationId" in operation:
            names.append(operation["operationId"])
    assert len(set(names)) == len(names) == len(routes().all)


def test_every_route_is_in_it_and_everything_in_it_is_a_route() -> None:
    served = {(route.path, route.method.lower()) for route in routes().all}
    fixed = {"/", "/health", "/ready", "/openapi.json", "/api/tools"}
    documented = {(path, method) for path, method, _ in operations()}
    assert documented == served | {(path, "get") for path in fixed}


def test_every_tool_has_an_address_of_its_own() -> None:
    paths = {route.path for route in routes().all}
    names = {route.tool.name for route in routes().all}
    assert len(names) > 20
    assert {f"/api/tools/{name}" for name in names} <= paths


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_reads_and_deletes_take_texts_in_the_query_and_no_body(method: str) -> None:
    some = [
        operation
        for path, each, operation in operations()
        if each == method.lower() and path.startswith("/api/") and path != "/api/tools"
    ]
    assert some
    for operation in some:
        assert "requestBody" not in operation


def test_an_example_of_a_body_fits_its_schema() -> None:
    components = told()["components"]
    checked = 0
    for _, _, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                schema = {**content["schema"], "components": components}
                jsonschema.Draft202012Validator(schema).validate(content["example"])
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("raw", "tool", "arguments"),
    [
        ("/api/agents/metrics", "performance_report", {}),
        ("/api/agents/agent_1", "agent_status", {"agentId": "agent_1"}),
        ("/api/agents/a%20b", "agent_status", {"agentId": "a b"}),
        ("/api/memory/notes/a%2Fb", "memory_retrieve", {"namespace": "notes", "key": "a/b"}),
        ("/api/memory/notes/%E2%82%AC", "memory_retrieve", {"namespace": "notes", "key": "€"}),
    ],
)
def test_an_address_leads_to_its_tool(raw: str, tool: str, arguments: dict[str, str]) -> None:
    match = routes().find(raw)
    assert match is not None
    assert match.routes["GET"].tool.name == tool
    assert match.arguments == arguments


@pytest.mark.parametrize(
    "raw", ["/api/agents/", "/api", "/api/agents/a/b", "//api/agents", "/api%2Fagents", "",
            "/api/agents/..%2f..", "/API/agents"],
)  # fmt: skip
def test_no_other_address_leads_anywhere(raw: str) -> None:
    match = routes().find(raw)
    assert match is None or match.arguments == {"agentId": "../.."}

"""The OpenAPI 3.1 document, made from the routes and the tools' own schemas.

It says what `app` does and nothing else: every route, every status that one can answer with.
"""

from typing import Any, cast

from visionflow.domain.access import Role
from visionflow.interfaces.tools.arguments import KEY
from visionflow.interfaces.web.routes import Route, Routes

Json = dict[str, Any]
_ALWAYS = {
    401: "Nobody knows who asks: no token, or one that is unknown, revoked or expired.",
    403: "Who asks may not do this, or asks from a page of a foreign origin.",
    421: "The Host header is none of this server's names.",
    429: "Too many calls of this client; Retry-After says when to ask again.",
    500: "The server failed.",
}
_CALLS = {
    400: "The body is no JSON, or the request cannot be understood.",
    404: "There is no such swarm, agent, task or other thing.",
    408: "The body did not come in time.",
    409: "Not now: a limit is reached, or the state of things does not allow it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "An argument is unknown, missing or of the wrong kind.",
    501: "This part does not exist yet.",
    503: "The server has too much to do; ask again.",
}
STATUSES = {200: "Done.", **_CALLS, **_ALWAYS}
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After"}
_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "A stable word."},
                "message": {"type": "string", "description": "What happened and what to do."},
                "hint": {"type": "string"},
                "retryAfterMs": {"type": "integer"},
            },
        }
    },
}
HEALTH: Json = {
    "type": "object",
    "required": ["status", "version"],
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
}
READY: Json = {
    "type": "object",
    "required": ["ready", "why"],
    "properties": {"ready": {"type": "boolean"}, "why": {"type": ["string", "null"]}},
}


def document(routes: Routes, version: str) -> Json:
    """The whole document."""
    schemas: Json = {"Error": _ERROR}
    tools = {route.tool.name: route.tool for route in routes.all}
    for tool in tools.values():
        _add(schemas, f"{tool.name}.arguments", tool.input_schema)
        _add(schemas, f"{tool.name}.result", tool.output_schema)
    paths: Json = dict(_fixed())
    for route in routes.all:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VisionFlow",
            "version": version,
            "description": "Each tool of the server, by POST /api/tools/NAME and by resource.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "tags": [{"name": name} for name in dict.fromkeys(t.group for t in tools.values())],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                str(status): _refusal(status, told)
                for status, told in {**_CALLS, **_ALWAYS}.items()
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Not needed by programs of the server's own user on its "
                    "machine.",
                }
            },
        },
    }


def _operation(route: Route, schemas: Json) -> Json:
    tool = route.tool
    may = ", ".join(role for role in Role if role in tool.roles)
    operation: Json = {
        "operationId": _identity(route),
        "summary": tool.summary,
        "description": f"The tool {tool.name}. Roles: {may}.",
        "tags": [tool.group],
        "parameters": _parameters(route),
        "responses": {
            "200": {
                "description": STATUSES[200],
                "content": _json({"$ref": f"#/components/schemas/{tool.name}.result"}),
            },
            **_refusals({**_CALLS, **_ALWAYS}),
        },
    }
    if route.takes_body:
        schema: Json = {"$ref": f"#/components/schemas/{tool.name}.arguments"}
        if route.names:
            schema = _rest_of(route, schemas)
        content: Json = {"schema": schema}
        if not route.names:
            content["example"] = tool.example
        needed = bool(schema.get("required")) or not route.names
        body: Json = {"required": needed, "content": {"application/json": content}}
        operation["requestBody"] = body
    return operation


def _identity(route: Route) -> str:
    words = route.path.strip("/").replace("{", "").replace("}", "")
    return f"{route.method.lower()}_{words.replace('/', '_')}"


def _parameters(route: Route) -> list[Json]:
    tool = route.tool
    properties = cast(Json, tool.input_schema.get("properties", {}))
    needed = cast("list[str]", tool.input_schema.get("required", []))
    found = [_parameter(name, "path", properties, True) for name in route.names]
    if not route.takes_body:
        found += [
            _parameter(name, "query", properties, name in needed)
            for name in properties
            if name not in route.names and name != KEY
        ]
    if not tool.reads:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same call with the same key is done once.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        )
    return found


def _parameter(name: str, place: str, properties: Json, required: bool) -> Json:
    about = cast(Json, properties[name])
    described = {"description": about["description"]} if "description" in about else {}
    # A text in an address, whatever the tool makes of it: `5`, `true`, `a,b`, `10s`.
    return {
        "name": name,
        "in": place,
        "required": required,
        "schema": {"type": "string"},
        **described,
    }


def _rest_of(route: Route, schemas: Json) -> Json:
    """The arguments that do not stand in the address."""
    whole = cast(Json, schemas[f"{route.tool.name}.arguments"])
    properties = cast(Json, whole.get("properties", {}))
    rest = {name: value for name, value in properties.items() if name not in route.names}
    schema: Json = {"type": "object", "properties": rest, "additionalProperties": False}
    needed = [name for name in whole.get("required", []) if name not in route.names]
    return {**schema, "required": needed} if needed else schema


def _refusals(statuses: dict[int, str]) -> Json:
    return {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
    }


def _refusal(status: int, told: str) -> Json:
    found: Json = {"description": told, "content": _json({"$ref": "#/components/schemas/Error"})}
    header = _HEADERS.get(status)
    if header is not None:
        found["headers"] = {header: {"schema": {"type": "string"}}}
    return found


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _fixed() -> Json:
    """Addresses that are no tools."""

    def read(summary: str, schema: Json, more: Json | None = None, guarded: bool = True) -> Json:
        told = _ALWAYS if guarded else {403: _ALWAYS[403], 421: _ALWAYS[421]}
        answers: Json = {"200": {"description": STATUSES[200], "content": _json(schema)}}
        answers |= _refusals(told)
        operation: Json = {"summary": summary, "responses": {**answers, **(more or {})}}
        return {"get": operation if guarded else {**operation, "security": [{}]}}

    waits: Json = {"503": {"description": "Not yet; it says why.", "content": _json(READY)}}
    return {
        "/": read("What there is here.", {"type": "object"}),
        "/health": read("Whether the process answers.", HEALTH, guarded=False),
        "/ready": read("Whether it serves calls.", READY, waits, guarded=False),
        "/openapi.json": read("This document.", {"type": "object"}),
        "/api/tools": read("All tools, and those to come.", {"type": "object"}),
    }


def _add(schemas: Json, name: str, schema: Json) -> None:
    """Put a self-contained schema among the components, its definitions beside it."""
    parts = dict(schema)
    for key, value in cast(Json, parts.pop("$defs", {})).items():
        schemas[f"{name}.{key}"] = _led(value, name)
    schemas[name] = _led(parts, name)


def _led(value: Any, name: str) -> Any:
    """A schema whose references lead to the components."""
    if isinstance(value, dict):
        given = cast(Json, value)
        return {
            key: f"#/components/schemas/{name}.{each.removeprefix('#/$defs/')}"
            if key == "$ref" and isinstance(each, str)
            else _led(each, name)
            for key, each in given.items()
        }
    if isinstance(value, list):
        return [_led(each, name) for each in cast("list[Any]", value)]
    return value

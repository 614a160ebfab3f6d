"""Arguments and results of tools as Structs: reading what came in, and their JSON schemas.

On the wire names are camelCase. An unknown argument or a value of the wrong kind is an error that
names it and lists what is allowed; nothing is rewritten.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.wording import said_of, shown
from visionflow.interfaces.tools.forms import FORMS, Form, fault_in

KEY = "idempotencyKey"
_REF = "#/$defs/"
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE = re.compile(r"-?[0-9]+\.0+")
_encode = msgspec.msgpack.Encoder().encode
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)
_WHY: tuple[tuple[type[Exception], str], ...] = (
    (UnicodeEncodeError, "half of a surrogate pair, a text that UTF-8 cannot carry"),
    (OverflowError, "a whole number of more than 64 bits"),
    (RecursionError, "lists and objects that are nested too deep"),
    (Exception, "what is no JSON value"),
)
_ANYTHING: dict[str, Any] = {}
_KEY_SCHEMA = {"type": "string"}
"""What it means its name says; docs/tools.md has more, once for all tools."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all tools' arguments. Fields carry `form(...)` or `about(...)` as annotations."""

    ALIASES: ClassVar[Mapping[str, str]] = {}
    """Other names (of the wire) that an argument may have, and its own."""


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all tools' results. What is not known is `null`, never left out."""


class Field(msgspec.Struct, frozen=True):
    """An argument as faces need to know it."""

    name: str
    """On the wire."""
    form: Form | None
    description: str
    required: bool
    hint: Any
    """Its type, without annotations."""


A = TypeVar("A", bound=Arguments)


@cache
def fields_of(kind: type[Arguments]) -> dict[str, Field]:
    """The arguments of a tool by their names on the wire, in order."""
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, Field] = {}
    for each in msgspec.structs.fields(kind):
        hint, metas = _unwrapped(hints[each.name])
        extra = next((m.extra for m in metas if m.extra and "form" in m.extra), None)
        found[each.encode_name] = Field(
            each.encode_name,
            None if extra is None else FORMS[extra["form"]],
            next((m.description for m in metas if m.description), ""),
            each.required,
            hint,
        )
    return found


def _unwrapped(hint: Any) -> tuple[Any, list[msgspec.Meta]]:
    """The type, and its annotations; also those inside an optional."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        return inner, [meta for meta in metas if isinstance(meta, msgspec.Meta)]
    for each in get_args(hint):
        if get_origin(each) is Annotated:
            return hint, _unwrapped(each)[1]
    return hint, []


def parse(
    kind: type[A],
    given: Mapping[str, object],
    *,
    texts: bool = False,
    written: Collection[str] = (),
) -> A:
    """Arguments as they were sent, read and checked. `texts`: they come from a command line, where
    numbers and truth values are texts too, and so are objects and lists, but for those `written`
    as JSON already.

    Raises:
        UsageError: one is unknown, missing, given twice, or of the wrong kind.
    """
    known = fields_of(kind)
    values: dict[str, object] = {}
    for name, value in given.items():
        target = kind.ALIASES.get(name, name)
        field = known.get(target)
        if field is None:
            raise _unknown(name, known, kind)
        if target in values:
            raise UsageError(f"{target} is given twice.", hint="Leave one of them out.")
        if value is None and not field.required:
            continue
        if texts and name not in written:
            value = _spelled_out(field, value)
        values[target] = _read(field, value, texts)
    missing = [f.name for f in known.values() if f.required and f.name not in values]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.",
            hint=f"Arguments: {', '.join(known)}.",
        )
    try:
        found = msgspec.convert(values, kind, strict=not texts)
        _encode(found)
    except msgspec.ValidationError as error:
        hints = {name: field.hint for name, field in known.items()}
        sent = {name: _as_written(each) if texts else each for name, each in values.items()}
        raise UsageError(f"{said_of(str(error), sent, hints)}.") from error
    except _UNWRITABLE as error:
        raise _unwritable(values) or UsageError("No log can keep these arguments.") from error
    return found


def _unwritable(values: Mapping[str, object]) -> UsageError | None:
    """Which of these cannot be written to a log, where it would end the server."""
    for name, value in values.items():
        try:
            _encode(value)
        except _UNWRITABLE as error:
            why = next(words for kind, words in _WHY if isinstance(error, kind))
            return UsageError(f"{name} holds {why}, which no log can keep.")
    return None


def _as_written(value: object) -> object:
    """A value of a command line, a number where it is one, so that it is told as one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value


def _read(field: Field, value: object, texts: bool) -> object:
    if field.form is not None:
        try:
            return field.form.read(value)
        except ValueError as error:
            raise UsageError(f"{field.name} is {shown(value)}; it is {error}.") from error
    if _is_integer(field.hint):
        return _whole(value, texts)
    return value


def _spelled_out(field: Field, value: object) -> object:
    """The object or list that a text begins like, where the argument may be one.

    Raises:
        UsageError: it ends like none.
    """
    if field.form is not None or not isinstance(value, str):
        return value
    if value[:1] not in _opened(field.hint):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{field.name} begins like JSON and is none: {fault_in(value, error)}.",
            hint=f'As a text it can be given as --args \'{{"{field.name}": "..."}}\'.'
            if _may_be_text(field.hint)
            else None,
        ) from error


@cache
def _opened(hint: Any) -> tuple[str, ...]:
    """What JSON begins with that an argument of this type may be."""
    kinds = {get_origin(each) or each for each in (get_args(hint) or (hint,))}
    kinds.add(get_origin(hint) or hint)
    if Any in kinds:
        return ("{", "[")
    return tuple(sign for sign, of in (("{", {dict}), ("[", {list, tuple})) if kinds & of)


@cache
def _may_be_text(hint: Any) -> bool:
    return hint is Any or str in (get_args(hint) or (hint,))


@cache
def _is_integer(hint: Any) -> bool:
    return hint is int or (int in get_args(hint) and float not in get_args(hint))


def _whole(value: object, texts: bool) -> object:
    """An integer that was written with a point: in JSON 2.0 is one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if texts and isinstance(value, str) and _WHOLE.fullmatch(value):
        return value.partition(".")[0]
    return value


def _unknown(name: str, known: Mapping[str, Field], kind: type[Arguments]) -> UsageError:
    near = get_close_matches(name[:100], [*known, *kind.ALIASES], 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(known) or "none"
    return UsageError(f"{name!r} is no argument of this tool.{meant}", hint=f"Allowed: {listed}.")


@cache
def input_schema(kind: type[Arguments], keyed: bool) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; `keyed`: it takes an idempotency key."""
    schema = _schema(kind, True)
    properties = cast("dict[str, dict[str, Any]]", schema.setdefault("properties", {}))
    for field in fields_of(kind).values():
        if field.form is None:
            continue
        plain = dict(field.form.schema)
        if field.description:
            plain["description"] = field.description
        properties[field.name] = plain
    if keyed:
        properties[KEY] = _KEY_SCHEMA
    schema["additionalProperties"] = False
    if kind.ALIASES:
        for alias, name in kind.ALIASES.items():
            properties[alias] = {"description": f"The same as {name}."}
        required = cast("list[str]", schema.get("required", []))
        schema["required"] = [n for n in required if n not in set(kind.ALIASES.values())]
    if not schema.get("required"):
        schema.pop("required", None)
    return schema


@cache
def output_schema(kind: type[Result]) -> dict[str, Any]:
    """The JSON schema of a tool's result."""
    return _schema(kind)


@cache
def listed_output_schema(kind: type[Result]) -> dict[str, Any]:
    """The same as it stands in lists of tools, which models read: names, and the types of the
    first level. That all of an object's properties are there is so in every result; the rest, and
    what they mean, the OpenAPI says."""
    return cast("dict[str, Any]", _bare(output_schema(kind)))


def _bare(value: Any, depth: int = 0) -> Any:
    if isinstance(value, list):
        return [_bare(each, depth) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    mapping = cast("dict[str, Any]", value)
    names = mapping.get("properties")
    if isinstance(names, dict) and "type" in mapping:
        if depth:
            return {"type": "object", "properties": dict.fromkeys(cast("Any", names), _ANYTHING)}
        depth += 1
    whole = isinstance(names, dict) and mapping.get("required") == [*cast("dict[str, Any]", names)]
    left_out = {
        key
        for key, each in mapping.items()
        if (key == "required" and whole) or (key == "description" and isinstance(each, str))
    }
    return {key: _bare(each, depth) for key, each in mapping.items() if key not in left_out}


def _schema(kind: type[msgspec.Struct], given: bool = False) -> dict[str, Any]:
    """One self-contained schema of an object, kept small: there are many tools, and a model reads
    all of them. `given`: of arguments, where null means the same as leaving one out."""
    (root,), components = msgspec.json.schema_components([kind], ref_template=_REF + "{name}")
    name = cast(str, root["$ref"]).removeprefix(_REF)
    parts = {key: cast("dict[str, Any]", _slim(each, given)) for key, each in components.items()}
    for part in parts.values():
        # What it is stands where it is used: a summary, or the field's own description.
        part.pop("description", None)
    schema = parts.pop(name)
    text = msgspec.json.encode([schema, parts]).decode()
    once = {key for key in parts if text.count(f'"{_REF}{key}"') == 1}
    inlined = {key: _inlined(each, parts, once) for key, each in parts.items() if key not in once}
    schema = cast("dict[str, Any]", _inlined(schema, parts, once))
    if inlined:
        schema["$defs"] = inlined
    return schema


def _inlined(value: Any, parts: Mapping[str, Any], once: set[str]) -> Any:
    """The same with each part that is used once in its place."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        name = str(mapping.get("$ref", "")).removeprefix(_REF)
        if name in once:
            beside = {key: each for key, each in mapping.items() if key != "$ref"}
            return {**cast("dict[str, Any]", _inlined(parts[name], parts, once)), **beside}
        return {key: _inlined(each, parts, once) for key, each in mapping.items()}
    if isinstance(value, list):
        return [_inlined(each, parts, once) for each in cast("list[Any]", value)]
    return value


def _slim(value: Any, given: bool) -> Any:
    """A schema without titles and nulls that say nothing, and with its shorter forms."""
    if isinstance(value, list):
        return [_slim(each, given) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, each in cast("dict[str, Any]", value).items():
        if key == "properties":
            named = cast("dict[str, Any]", each)
            found[key] = {name: _slim(inner, given) for name, inner in named.items()}
        elif key == "anyOf":
            found.update(_either(cast("list[dict[str, Any]]", _slim(each, given)), given))
        elif key != "title" and not (key == "default" and each in (None, [], {}, "")):
            found[key] = _slim(each, given)
    return found


def _either(kinds: list[dict[str, Any]], given: bool) -> dict[str, Any]:
    if given:
        kinds = [each for each in kinds if each != {"type": "null"}]
    if len(kinds) == 1:
        return kinds[0]
    if all(each.keys() == {"type"} for each in kinds):
        return {"type": [each["type"] for each in kinds]}
    return {"anyOf": kinds}

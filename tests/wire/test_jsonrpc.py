"""Messages: what is taken for a request, and what is told of everything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.interfaces.tools.faults import INVALID, PARSE
from visionflow.interfaces.wire.jsonrpc import (
    BATCH_MAX,
    CONTAINERS_MAX,
    Bad,
    Request,
    parse,
)

DEPTH = 8


def line(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


@pytest.mark.parametrize("identity", [1, 0, -5, 2**64 - 1, "a", "", "ä", None])
def test_an_id_comes_back_as_it_was_sent(identity: object) -> None:
    found = parse(line(id=identity, method="m"), DEPTH)
    assert isinstance(found, Request) and found.id is not None
    assert json.loads(found.id) == identity


@pytest.mark.parametrize("identity", [True, 1.0, 1.5, [1], {}, "x" * 300])
def test_an_id_that_is_none_is_refused(identity: object) -> None:
    found = parse(line(id=identity, method="m"), DEPTH)
    assert isinstance(found, Bad) and (found.code, found.id) == (INVALID, b"null")


def test_a_request_without_an_id_is_a_notification_and_params_may_be_missing() -> None:
    assert parse(line(method="m"), DEPTH) == Request(None, "m", {})
    assert parse(line(method="m", params=[1]), DEPTH) == Request(None, "m", [1])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", PARSE),
        (b"{", PARSE),
        (b"nonsense", PARSE),
        (b'{"a":1}{"b":2}', PARSE),
        (b'{"id":NaN}', PARSE),
        (b'{"id":Infinity}', PARSE),
        (b'{"method":"\xff"}', PARSE),
        (b'{"method":"\\ud800"}', PARSE),
        (b'{"method":"\xed\xa0\x80"}', PARSE),
        (b"1", INVALID),
        (b"null", INVALID),
        (b'"text"', INVALID),
        (b"[]", INVALID),
        (b"{}", INVALID),
        (b'{"jsonrpc":"1.0","id":1,"method":"m"}', INVALID),
        (b'{"jsonrpc":"2.0","id":1}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":5}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1,"a":2}}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1e999}}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":99999999999999999999}}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":' + b"9" * 9_000 + b"}}", INVALID),
    ],
)
def test_what_is_no_request_is_told_what_is_wrong_with_it(data: bytes, code: int) -> None:
    found = parse(data, DEPTH)
    assert isinstance(found, Bad) and found.code == code
    assert found.message.endswith(".")


def test_the_answer_to_a_bad_request_carries_its_id_when_it_can_be_read() -> None:
    found = parse(b'{"id":7}', DEPTH)
    assert isinstance(found, Bad) and found.id == b"7"


def test_colons_braces_and_quotes_inside_of_texts_are_only_text() -> None:
    text = '{"a":[[[[[[[[[[[[:::"\\" 12345678901234567890123 }'
    found = parse(line(id=1, method="m", params={"text": text}), DEPTH)
    assert found == Request(b"1", "m", {"text": text})


def test_depth_is_counted_outside_of_texts_and_bounded() -> None:
    def nested(depth: int) -> bytes:
        return line(id=1, method="m", params={"a": json.loads("[" * depth + "]" * depth)})

    assert isinstance(parse(nested(DEPTH - 2), DEPTH), Request)
    found = parse(nested(DEPTH - 1), DEPTH)
    assert isinstance(found, Bad) and found.word == "too_deep"
    wide = line(id=1, method="m", params={"a": [[]] * 5_000})
    assert isinstance(parse(wide, DEPTH), Request)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b"[" * 500_000 + b"]" * 500_000,
        b"[" + b"[]," * (CONTAINERS_MAX + 1) + b"1]",
        b"[{" * 500 + b'"\\' * 500_000,
        b'[{"' * 500_000,
    ],
)
def test_a_bomb_is_refused_without_decoding_it(data: bytes) -> None:
    assert isinstance(parse(data, 64), Bad)


def test_a_batch_is_its_requests_in_order_and_has_a_bound() -> None:
    one = {"jsonrpc": "2.0", "id": 1, "method": "m"}
    assert parse(json.dumps([one, 5]).encode(), DEPTH) == [
        Request(b"1", "m", {}),
        Bad(b"null", INVALID, "A request is a JSON object.", "invalid"),
    ]
    assert isinstance(parse(json.dumps([one] * BATCH_MAX).encode(), DEPTH), list)
    found = parse(json.dumps([one] * (BATCH_MAX + 1)).encode(), DEPTH)
    assert isinstance(found, Bad) and found.word == "batch_too_long"


@given(st.binary(max_size=200))
def test_no_bytes_at_all_are_an_exception(data: bytes) -> None:
    found = parse(data, DEPTH)
    assert isinstance(found, (Bad, Request, list))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_parameters_arrive_as_they_were_sent(params: dict[str, Any]) -> None:
    found = parse(line(id=1, method="m", params=params), 64)
    assert found == Request(b"1", "m", params)

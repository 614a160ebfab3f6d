"""Headers: a page of a foreign origin, a name that was pointed here, a body that is no JSON."""

from typing import Any

import pytest

from visionflow.interfaces.access.headers import HeaderRules, Headers
from visionflow.settings.server import ServerSettings


def status(has_body: bool = True, settings: ServerSettings | None = None, **given: Any) -> int:
    """How a request with these headers is answered; 0: it may go on."""
    headers = {"host": "127.0.0.1:9500", "content-type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in given.items()}
    raw = [(n.encode(), v.encode("latin-1")) for n, v in headers.items() if v is not None]
    fault = HeaderRules(settings or ServerSettings()).fault(Headers(raw), has_body)
    return 0 if fault is None else fault.http


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9500", "127.8.9.1:1", "localhost:3000", "LOCALHOST", "localhost.",
     "[::1]:9500", "[::1]", "::1", "[::ffff:127.0.0.1]:9500", "multi-agent-container:9500"],
)  # fmt: skip
def test_the_names_of_this_machine_are_ours(host: str) -> None:
    assert status(host=host) == 0


@pytest.mark.parametrize(
    "host",
    ["evil.example:9500", "127.0.0.1.evil.example", "localhost.evil.example", "", None,
     "192.0.2.1:9500", "0.0.0.0:9500", "127.0.0.1, evil.example", "127.0.0.1:80:9500",
     "evil.example#127.0.0.1", "[::1].evil.example", "xn--lcalhost-e1a"],
)  # fmt: skip
def test_a_name_that_somebody_pointed_here_is_not(host: str | None) -> None:
    assert status(host=host) == 421


def test_more_names_are_the_settings_business() -> None:
    settings = ServerSettings(allowed_hosts=("Fleet.example",), host="192.0.2.7")
    assert status(host="fleet.example:9500", settings=settings) == 0
    assert status(host="192.0.2.7:9500", settings=settings) == 0
    assert status(host="fleet.example.evil", settings=settings) == 421


def test_to_listen_everywhere_allows_no_name_of_everywhere() -> None:
    assert status(host="0.0.0.0:9500", settings=ServerSettings(host="0.0.0.0")) == 421


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "http://127.0.0.1:5173", "http://localhost",
     "https://127.0.0.1:9500", "http://127.0.0.1:9500.evil.example", "file://"],
)  # fmt: skip
def test_a_page_of_a_foreign_origin_may_not_call(origin: str) -> None:
    assert status(origin=origin) == 403


def test_a_page_of_this_very_address_or_of_an_allowed_origin_may() -> None:
    assert status(origin="http://127.0.0.1:9500") == 0
    settings = ServerSettings(allowed_origins=("https://desk.example/",))
    assert status(origin="https://desk.example", settings=settings) == 0
    assert status(origin="https://desk.example:444", settings=settings) == 403


@pytest.mark.parametrize(
    ("site", "expected"), [("cross-site", 403), ("same-site", 403), ("same-origin", 0), ("none", 0)]
)
def test_a_browser_that_names_no_origin_still_says_where_the_page_is_from(
    site: str, expected: int
) -> None:
    assert status(has_body=False, sec_fetch_site=site) == expected


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None,
     "", "application/jsonx", "text/plain; application/json", "text/plain, application/json"],
)  # fmt: skip
def test_a_body_that_a_page_may_send_unasked_is_refused(kind: str | None) -> None:
    assert status(content_type=kind) == 415
    assert status(content_type=kind, has_body=False) == 0


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_json_with_or_without_a_charset(kind: str) -> None:
    assert status(content_type=kind) == 0


def test_a_refusal_says_what_to_do() -> None:
    fault = HeaderRules(ServerSettings()).host_fault("evil.example")
    assert fault is not None
    assert "evil.example" in fault.message
    assert "allowed_hosts" in fault.data["hint"]

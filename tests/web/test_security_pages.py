"""What docs/rest.md and docs/security.md say is what the code has."""

import re
from pathlib import Path

from visionflow.domain.access import Role
from visionflow.interfaces.access.gate import FAILED_LOGINS, FAILED_WINDOW_S
from visionflow.interfaces.access.headers import CONTAINER
from visionflow.interfaces.access.records import LOGIN_S
from visionflow.interfaces.web.openapi import STATUSES
from visionflow.interfaces.web.routes import RESOURCES

DOCS = Path(__file__).resolve().parents[2] / "docs"
REST = (DOCS / "rest.md").read_text(encoding="utf-8")
SECURITY = (DOCS / "security.md").read_text(encoding="utf-8")


def test_the_page_has_every_address_and_no_other() -> None:
    told = re.findall(r"(?m)^\| ([A-Z]+) \| `([^`]+)` \| `([^`]+)` \|$", REST)
    assert told == list(RESOURCES)


def test_the_page_has_every_status_that_an_answer_may_have() -> None:
    told = {int(each) for line in re.findall(r"(?m)^\| ([0-9, ]+) \|", REST)
            for each in line.split(", ")}  # fmt: skip
    assert told == (set(STATUSES) - {200}) | {405}


def test_the_roles_are_those_that_there_are() -> None:
    told = re.findall(r"(?m)^\| (viewer|agent|operator|admin|\w+) \| [a-z]", SECURITY)
    assert [word for word in told if word in set(Role)] == ["viewer", "agent", "operator", "admin"]


def test_the_figures_are_those_of_the_code() -> None:
    assert (FAILED_LOGINS, FAILED_WINDOW_S) == (10, 60.0)
    assert "Ten that are none, from one address within a minute" in SECURITY
    assert LOGIN_S == 3_600
    assert "noted once an hour" in SECURITY
    assert f"`{CONTAINER}`" in SECURITY

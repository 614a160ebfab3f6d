"""Which results may be voted on as a patch."""

from typing import Any

import pytest

from visionflow.adapters.memory import MemoryBlobs
from visionflow.domain.errors import Refused
from visionflow.interfaces.tools.patches import Results, must_hold_change
from visionflow.runtime.intake import pack

NOTHING: dict[str, Any] = {"change": {"outcome": "nothing_to_do", "reason": "All is well."}}
CHANGED = {"change": {"outcome": "changed", "tip": "abc"}}
OWN = {"patch": "--- a\n+++ b\n", "outcome": "changed"}


def look(*bodies: Any) -> None:
    blobs = MemoryBlobs()
    made = {f"t{n}": pack(body, "a result", blobs) for n, body in enumerate(bodies)}
    must_hold_change(Results("task_1", made), blobs)


@pytest.mark.parametrize(
    "bodies",
    [
        [OWN],
        [{**OWN, "change": {"files": ["a.py"]}}],
        ["--- a\n+++ b\n"],
        [["a.py", "b.py"]],
        [CHANGED],
        [NOTHING, CHANGED],
    ],
)
def test_a_change_of_the_roles_or_in_a_form_of_the_users_own_may_be_voted_on(
    bodies: list[Any],
) -> None:
    look(*bodies)


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([NOTHING], "Task task_1 made no change: All is well."),
        ([{"tests": "as before"}, NOTHING], "Task task_1 made no change: All is well."),
        ([3, None], "Task task_1 has no change in its result."),
        ([[1, 2.5], dict[str, Any](), ""], "Task task_1 has no change in its result."),
    ],
)
def test_what_made_no_change_as_it_says_itself_or_holds_no_word_is_no_patch(
    bodies: list[Any], said: str
) -> None:
    with pytest.raises(Refused) as refused:
        look(*bodies)
    assert refused.value.reason == "no_change" and str(refused.value).startswith(said)

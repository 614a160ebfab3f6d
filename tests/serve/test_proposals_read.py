"""Proposals as clients write them: what cannot be is refused by its own name and measure."""

import pytest

from visionflow.domain.errors import UsageError
from visionflow.interfaces.tools.proposing import read_proposal


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"question": "q" * 10_001}, "question makes a question of 10001 characters"),
        ({"question": "?", "description": "d" * 10_001}, "description makes a question of 10001"),
        ({"question": "?", "options": ["a", "a"]}, "options has 'a' twice"),
        ({"task_assignment": "it", "candidates": ["x", "y", "x"]}, "candidates has 'x' twice"),
        ({"question": "?", "options": ["a"]}, "options has 1, which is too few"),
        (
            {"task_assignment": "it", "candidates": []},
            "0, which is too few to choose from. Without",
        ),
        ({"task_assignment": "it", "candidates": ["x"]}, "candidates has 1, which is too few"),
        ({"patch": "task_1", "options": ["a", "b"]}, "A patch has no options"),
        ({"question": "?", "options": []}, "options has 0, which is too few"),
        ({"question": "?", "candidates": ["a", "b"]}, "A question has no candidates"),
        ({"question": "?", "threshold": 1e-9}, "threshold is 1e-09; it is a share from 0.0001"),
        ({"question": "?", "quorum": 0.00004}, "quorum is 4e-05; it is a share from 0.0001"),
        ({"question": "?", "threshold": float("nan")}, "threshold is nan"),
        ({"question": "?", "threshold": 10**400}, "threshold is 1000"),
    ],
)
def test_a_proposal_that_cannot_be_is_refused_by_what_is_wrong_with_it(
    given: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        read_proposal(given)


def test_a_question_is_asked_whole() -> None:
    assert read_proposal({"question": "q" * 10_000}).question == "q" * 10_000
    assert read_proposal({"question": "?", "threshold": 0.0001}).terms.threshold_bp == 1

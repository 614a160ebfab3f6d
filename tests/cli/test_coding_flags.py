"""What is said of coding agents on the command line, and what a plan file cannot hold of it."""

import pytest

from visionflow.cli.coding import CodingFlags, limits_of, wish_of
from visionflow.compose.job.coding import check_accept
from visionflow.domain.errors import UsageError


def test_limits_are_typed_again_with_a_plan_as_they_were_understood() -> None:
    flags = CodingFlags(
        agent=["sh"], accept=["true"], agent_timeout="10s", agent_memory="1Gi", time_limit="1m",
        max_tokens=10, max_cost=2.5,
    )  # fmt: skip
    told = limits_of(wish_of(flags))
    assert told == (
        " --agent-timeout 10s --time-limit 60s --agent-memory 1073741824 --max-tokens 10"
        " --max-cost 2.5"
    )
    words = told.split()
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    again = CodingFlags(
        agent_timeout=pairs["--agent-timeout"], time_limit=pairs["--time-limit"],
        agent_memory=pairs["--agent-memory"], max_tokens=int(pairs["--max-tokens"]),
        max_cost=float(pairs["--max-cost"]),
    )  # fmt: skip
    assert wish_of(again).bounds == wish_of(flags).bounds
    assert limits_of(wish_of(CodingFlags(agent=["sh"]))) == ""


@pytest.mark.parametrize("predicate", ["a && b", "a | b", "a > out"])
def test_a_predicate_that_needs_a_shell_is_refused_with_how_to_write_it(predicate: str) -> None:
    with pytest.raises(UsageError, match="no shell reads it") as caught:
        check_accept([predicate])
    assert "sh -c" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (CodingFlags(agent_memory="5"), "16Mi"),
        (CodingFlags(agent_timeout="soon"), "duration"),
        (CodingFlags(max_cost=-1.0), "above zero"),
        (CodingFlags(time_limit="0s"), "more than nothing"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(flags: CodingFlags, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wish_of(flags)

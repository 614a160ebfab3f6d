"""The words of `visionflow run` about coding agents, and what they come to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.compose.job import CodingWish

_GROUP = Group("Coding agents")


@dataclass(frozen=True)
class CodingFlags:
    """What may be said of coding agents."""

    agent: Annotated[
        list[str] | None, Parameter(group=_GROUP, negative=(), help=(
            "A coding agent: its command line with {goal}, the name of a profile, or of a role in "
            ".claude/agents. Repeatable; each candidate gets the next one."
        ))
    ] = None  # fmt: skip
    candidates: Annotated[
        int | None,
        Parameter(group=_GROUP, help="How many do the goal side by side; as many as --agent."),
    ] = None
    accept: Annotated[
        list[str] | None, Parameter(group=_GROUP, negative=(), help=(
            "A command that has to end with 0 on what is taken, such as 'pytest -k limit'. "
            "Repeatable."
        ))
    ] = None  # fmt: skip
    max_agents: Annotated[
        int | None, Parameter(group=_GROUP, help="So many at work at once; 4 when not given.")
    ] = None
    agent_timeout: Annotated[
        str | None, Parameter(group=_GROUP, help="How long one may work, such as 20m; 30m.")
    ] = None
    agent_memory: Annotated[
        str | None,
        Parameter(
            group=_GROUP, help="Memory of one with its processes, such as 2Gi; 8Gi, or half."
        ),
    ] = None
    time_limit: Annotated[
        str | None, Parameter(group=_GROUP, help="How long all of it may take, such as 2h.")
    ] = None
    max_tokens: Annotated[
        int | None,
        Parameter(group=_GROUP, help="No agent starts once so many tokens were reported."),
    ] = None
    max_cost: Annotated[
        float | None,
        Parameter(group=_GROUP, help="No agent starts once so many dollars were reported."),
    ] = None

    @property
    def given(self) -> bool:
        """Whether anything was said."""
        return self != CodingFlags()


NONE = CodingFlags()
MEMORY_BYTES_MIN = 16 << 20
"""An interpreter alone takes about this."""


def wish_of(flags: CodingFlags) -> "CodingWish":
    """What was asked for, read.

    Raises:
        UsageError: a value cannot be understood.
    """
    from visionflow.agents.roles.job import CodingBounds
    from visionflow.compose.job import CodingWish

    usual = CodingBounds()
    for name, number in (("--max-tokens", flags.max_tokens), ("--max-cost", flags.max_cost)):
        if number is not None and not 0 < number < 1e15:
            raise UsageError(f"{name} is a number above zero.")
    cost = None if flags.max_cost is None else round(flags.max_cost * 1_000_000)
    return CodingWish(
        agents=tuple(flags.agent or ()),
        candidates=flags.candidates,
        accept=tuple(flags.accept or ()),
        at_once=flags.max_agents,
        bounds=CodingBounds(
            wall_ms=_duration_ms("--agent-timeout", flags.agent_timeout) or usual.wall_ms,
            memory_bytes=_memory(flags.agent_memory),
            tokens=flags.max_tokens,
            cost_microdollars=cost,
        ),
        wall_ms=_duration_ms("--time-limit", flags.time_limit),
    )


def limits_of(wish: "CodingWish") -> str:
    """The limits as they are typed, each with a blank before it: a plan does not hold them."""
    bounds, usual = wish.bounds, type(wish.bounds)()
    seconds = {
        "--agent-timeout": bounds.wall_ms if bounds.wall_ms != usual.wall_ms else None,
        "--time-limit": wish.wall_ms,
    }
    words = {name: f"{ms / 1000:g}s" for name, ms in seconds.items() if ms is not None}
    if bounds.memory_bytes is not None:
        words["--agent-memory"] = str(bounds.memory_bytes)
    if bounds.tokens is not None:
        words["--max-tokens"] = str(bounds.tokens)
    if bounds.cost_microdollars is not None:
        words["--max-cost"] = f"{bounds.cost_microdollars / 1_000_000:g}"
    return "".join(f" {name} {value}" for name, value in words.items())


def _duration_ms(name: str, text: str | None) -> int | None:
    return None if text is None else _read(name, "seconds", text)


def _size(name: str, text: str | None) -> int | None:
    return None if text is None else _read(name, "size", text)


def _memory(text: str | None) -> int | None:
    size = _size("--agent-memory", text)
    if size is not None and size < MEMORY_BYTES_MIN:
        raise UsageError(
            f"--agent-memory is {text!r}, which is {size} bytes; no agent can work within less "
            "than 16Mi.",
            hint="Write a unit, such as 2Gi.",
        )
    return size


def _read(name: str, form: str, text: str) -> int:
    from visionflow.interfaces.tools.forms import FORMS

    try:
        found = FORMS[form].read(text)
    except ValueError as error:
        raise UsageError(f"{name} is {text!r}; it is {error}.") from None
    if not isinstance(found, int) or found <= 0:
        raise UsageError(f"{name} is {text!r}; it has to be more than nothing.")
    return found

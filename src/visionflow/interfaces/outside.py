"""Outside effects as every face lists and resolves them."""

from collections.abc import Callable
from typing import Any

from visionflow.domain import outside_commands as oc
from visionflow.domain.errors import UsageError
from visionflow.domain.outside import EffectStatus, Resolution
from visionflow.domain.secrecy import masked
from visionflow.ports.blobs import Blobs
from visionflow.ports.views import EffectFilter, EffectRow
from visionflow.runtime.intake import pack
from visionflow.runtime.queries import PAGE_MAX, Queries


def statuses_in(words: tuple[str, ...]) -> tuple[str, ...]:
    """These words as statuses of effects.

    Raises:
        UsageError: one is none.
    """
    known = [status.value for status in EffectStatus]
    for word in words:
        if word not in known:
            raise UsageError(
                f"{word[:60]!r} is no status of an effect.", hint=f"Allowed: {', '.join(known)}."
            )
    return words


def listed(queries: Queries, status: str | None, task: str | None) -> list[EffectRow]:
    """All effects that meet what is given. Blocks.

    Raises:
        UsageError: there is no such status.
    """
    wanted = EffectFilter(statuses=statuses_in(() if status is None else (status,)), task=task)
    found: list[EffectRow] = []
    page = queries.effects(wanted)
    while page:
        found += page
        last = page[-1]
        full = len(page) == PAGE_MAX
        page = queries.effects(wanted, (last.reserved_ms, last.key)) if full else []
    return found


def resolving(
    key: str, resolution: str, note: str, result: Any, by: str, blobs: Blobs
) -> Callable[[int, str | None], oc.ResolveEffect]:
    """What makes the command that resolves an effect, from the time and the command's id.

    Raises:
        UsageError: there is no such resolution, or a result of what was not done.
        NotPersistable: the result cannot be stored.
    """
    try:
        chosen = Resolution(resolution)
    except ValueError:
        allowed = ", ".join(Resolution)
        raise UsageError(
            f"{resolution!r:.60} is no resolution of an effect.", hint=f"Allowed: {allowed}."
        ) from None
    if result is not None and chosen is not Resolution.DONE:
        raise UsageError("Only what was done has a result.", hint=f"Leave it out with {chosen}.")
    payload = pack(result, f"the result of effect {key!r:.80}", blobs)

    def make(now_ms: int, command: str | None) -> oc.ResolveEffect:
        return oc.ResolveEffect(
            now_ms=now_ms,
            command=command,
            key=key,
            resolution=chosen,
            by=by,
            # It becomes the reason of tasks that end by it, which people read.
            note=masked(note),
            result=payload,
        )

    return make

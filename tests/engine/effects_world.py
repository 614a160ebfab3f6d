"""What the surroundings of an engine do about outside effects."""

from typing import Any

from tests.engine.calm import Calm
from visionflow.domain import outside_commands as oc
from visionflow.domain.commands import ReportFailure
from visionflow.domain.outside import EffectClass, EffectOutcome, EffectStatus, Resolution, Verdict
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.engine.decide.outside import Ruling
from visionflow.engine.outside import EffectState
from visionflow.engine.state import Answer

IDEMPOTENT, PROBEABLE = EffectClass.IDEMPOTENT, EffectClass.PROBEABLE
TRANSACTIONAL, UNSURE = EffectClass.TRANSACTIONAL, EffectClass.IN_DOUBT


def ask(
    world: Calm,
    task: str,
    kind: EffectClass = UNSURE,
    key: str | None = None,
    attempt: int | None = None,
    **fields: Any,
) -> Answer:
    """An attempt wants to carry out an effect; a key of its own names it and its task."""
    number = world.state.tasks[task].attempt if attempt is None else attempt
    fields = {"name": "send", "digest": "d1", "place": "" if key else "send#1", **fields}
    return world.send(
        oc.ReserveEffect(
            now_ms=world.now_ms,
            key=key or f"{task}/send#1:{fields['digest']}",
            task=task,
            attempt=number,
            kind=kind,
            **fields,
        )
    )


def verdict(answer: Answer) -> Verdict | str | None:
    """What it comes to, or the code of the refusal."""
    return answer.verdict if isinstance(answer, Ruling) else answer.code


def tell(
    world: Calm,
    key: str,
    outcome: EffectOutcome = EffectOutcome.HAPPENED,
    task: str | None = None,
    attempt: int | None = None,
    result: bytes = b"\x07",
) -> Answer:
    """Its holder, or another attempt, says how it went."""
    found = world.state.outside.effects.get(key)
    return world.send(
        oc.ReportEffect(
            now_ms=world.now_ms,
            key=key,
            task=task or ("task_0" if found is None else found.task),
            attempt=(0 if found is None else found.attempt) if attempt is None else attempt,
            outcome=outcome,
            result=Payload(inline=result),
            reason="it broke off",
        )
    )


def resolve(
    world: Calm,
    key: str,
    resolution: Resolution = Resolution.DONE,
    command: str | None = None,
    note: str = "I looked",
    result: bytes = b"\x2a",
) -> Answer:
    """A person says what became of it."""
    return world.send(
        oc.ResolveEffect(
            now_ms=world.now_ms,
            key=key,
            resolution=resolution,
            by="ann",
            note=note,
            result=Payload(inline=result),
            command=command,
        )
    )


def park(world: Calm, task: str, key: str, reason: str = "in doubt") -> Answer:
    """The open attempt of a task ends because this effect is in doubt."""
    return world.send(
        ReportFailure(
            now_ms=world.now_ms,
            task=task,
            attempt=world.state.tasks[task].attempt,
            kind=FailureKind.IN_DOUBT,
            reason=reason,
            effect=key,
        )
    )


def effect(world: Calm, key: str) -> EffectState:
    return world.state.outside.effects[key]


def something_outside(world: Calm, running: list[str]) -> None:
    """One thing that may happen about effects, by chance: of attempts that are open or over."""
    chance, known = world.random, list(world.state.outside.effects)
    roll = chance.random()
    if running and roll < 0.45:
        task = chance.choice(running)
        attempt = world.state.tasks[task].attempt - chance.choice((0, 0, 0, 1))
        key = chance.choice((None, None, f"key_{chance.randint(1, 3)}"))
        digest = "d1" if key else chance.choice(("d1", "d1", "d1", "d2"))
        again, kind = chance.random() < 0.2, chance.choice(list(EffectClass))
        found = ask(world, task, kind, key, attempt, digest=digest, again=again)
        if verdict(found) is Verdict.DOUBTED and attempt == world.state.tasks[task].attempt:
            wanted = found.key if isinstance(found, Ruling) and found.key else key
            park(world, task, wanted or f"{task}/send#1:{digest}")
    elif known and roll < 0.85:
        key = chance.choice(known)
        holder = effect(world, key)
        attempt = max(0, holder.attempt - chance.choice((0, 0, 0, 1)))
        tasks = list(world.state.tasks)
        task = holder.task if chance.random() < 0.9 or not tasks else chance.choice(tasks)
        tell(world, key, chance.choice(list(EffectOutcome)), task, attempt)
    elif known:
        doubts = list(world.state.outside.doubts) or known
        command = chance.choice((None, world.name("command")))
        resolve(world, chance.choice(doubts), chance.choice(list(Resolution)), command)


def statuses(world: Calm) -> dict[str, EffectStatus]:
    return {key: found.status for key, found in world.state.outside.effects.items()}

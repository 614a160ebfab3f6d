"""The orchestrator's end of the ledger of outside effects: questions of attempts in, answers out,
each once it is durable."""

from collections.abc import Callable

from visionflow.domain import messages as m
from visionflow.domain import outside_commands as oc
from visionflow.domain.outside import Verdict
from visionflow.engine.decide.outside import Ruling
from visionflow.engine.state import Answer
from visionflow.runtime.control_plane import ControlPlane


def take(
    control: ControlPlane,
    now_ms: int,
    message: m.EffectAsked | m.EffectDone,
    send: Callable[[m.EffectAnswer], None],
) -> None:
    """Have a question of a worker decided; `send` gets the answer."""

    def answered(answer: Answer) -> None:
        send(_answer(message, answer))

    if isinstance(message, m.EffectAsked):
        command = oc.ReserveEffect(
            now_ms=now_ms,
            key=message.key,
            task=message.task,
            attempt=message.attempt,
            name=message.name,
            kind=message.kind,
            place=message.place,
            request=message.request,
            digest=message.digest,
            again=message.again,
        )
    else:
        command = oc.ReportEffect(
            now_ms=now_ms,
            key=message.key,
            task=message.task,
            attempt=message.attempt,
            outcome=message.outcome,
            result=message.result,
            reason=message.reason,
        )
    control.offer(command, answered, bounded=False)


def _answer(message: m.EffectAsked | m.EffectDone, answer: Answer) -> m.EffectAnswer:
    who = (message.number, message.task, message.attempt)
    if isinstance(answer, Ruling):
        return m.EffectAnswer(*who, answer.verdict, answer.key, answer.result, answer.reason)
    verdict = Verdict.STALE if answer.code == "stale_attempt" else Verdict.REFUSED
    return m.EffectAnswer(*who, verdict, reason=answer.message or "")

"""Commands about outside effects."""

from visionflow.domain.command import Command
from visionflow.domain.outside import EffectClass, EffectOutcome, Resolution
from visionflow.domain.tasks import NOTHING, Payload


class ReserveEffect(Command, frozen=True, tag="reserve_effect"):
    """An attempt wants to carry out an effect: may it? See `Verdict` for the answers."""

    key: str
    task: str
    attempt: int
    name: str
    kind: EffectClass
    place: str = ""
    request: str = ""
    digest: str = ""
    again: bool = False
    """This very attempt began it before."""


class ReportEffect(Command, frozen=True, tag="report_effect"):
    """How an effect went. What is certain is recorded also of an attempt that is stale."""

    key: str
    task: str
    attempt: int
    outcome: EffectOutcome
    result: Payload = NOTHING
    reason: str = ""


class ResolveEffect(Command, frozen=True, tag="resolve_effect"):
    """A person says what is true of an effect in doubt; tasks that wait for it go on, or fail."""

    key: str
    resolution: Resolution
    by: str
    note: str
    result: Payload = NOTHING


OutsideCommand = ReserveEffect | ReportEffect | ResolveEffect

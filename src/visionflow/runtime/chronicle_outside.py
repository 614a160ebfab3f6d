"""What a log line tells of each event of the ledger of outside effects."""

from visionflow.domain import outside_events as o
from visionflow.domain.outside import Resolution
from visionflow.runtime.chronicle_words import (
    REASON_CHARS_MAX,
    TEXT_CHARS_MAX,
    Known,
    Told,
    one_line,
    tells,
)


def _effect(event: o.EffectSettled | o.EffectFailed | o.EffectDoubted, known: Known) -> str:
    key = one_line(event.key, TEXT_CHARS_MAX)
    return f"{key} of {known.task(event.task)}, attempt {event.attempt}"


@tells("debug", "task", o.EffectReserved)
def _(event: o.EffectReserved, known: Known) -> Told:
    what = one_line(event.request or event.name, TEXT_CHARS_MAX)
    again = "" if event.fresh else ", begun before"
    told = f"{one_line(event.key, TEXT_CHARS_MAX)} ({event.kind}{again}): {what}"
    message = f"{known.task(event.task)}, attempt {event.attempt}, may do {told}"
    return Told(known.holders.get(event.task), "effect_reserved", message)


@tells("info", "task", o.EffectSettled)
def _(event: o.EffectSettled, known: Known) -> Told:
    told = f"{_effect(event, known)}, happened"
    return Told(known.holders.get(event.task), "effect_settled", told)


@tells("warning", "fault", o.EffectFailed)
def _(event: o.EffectFailed, known: Known) -> Told:
    why = known.reason(event.task, event.reason)
    told = f"{_effect(event, known)}, did not happen: {why}"
    return Told(known.holders.get(event.task), "effect_failed", told)


@tells("error", "fault", o.EffectDoubted)
def _(event: o.EffectDoubted, known: Known) -> Told:
    why = known.reason(event.task, event.why)
    told = f"{_effect(event, known)}, may have happened: {why}; see visionflow effects"
    return Told(known.holders.get(event.task), "effect_in_doubt", told)


@tells("info", "fault", o.EffectResolved)
def _(event: o.EffectResolved, known: Known) -> Told:
    words = {
        Resolution.DONE: "was done",
        Resolution.NOT_DONE: "was not done",
        Resolution.ABANDONED: "is abandoned",
    }
    key, note = one_line(event.key, TEXT_CHARS_MAX), one_line(event.note, REASON_CHARS_MAX)
    by = one_line(event.by, TEXT_CHARS_MAX)
    return Told(None, "effect_resolved", f"{key} {words[event.resolution]}, says {by}: {note}")

"""What each event of the fleet changes in its views. Pure: a record in, rows out."""

from visionflow.domain import fleet as f
from visionflow.ports.fleet_views import AuditRow, FleetChange, Gone, Kept, KeptRow


def changes(seq: int, record: f.FleetRecord) -> list[FleetChange]:
    """All that a record changes, in order."""
    found: list[FleetChange] = []
    for place, event in enumerate(record.events):
        match event:
            case f.MemoryStored():
                found.append(_kept(event))
                if event.face:
                    found.append(audit_row(seq, place, record.at_ms, _stored(event)))
            case f.MemoryExpired():
                found.extend(Gone(namespace, key) for namespace, key in event.keys)
            case f.CallRecorded() | f.AccessRecorded():
                found.append(audit_row(seq, place, record.at_ms, event))
            case _:
                pass
    return found


def _kept(event: f.MemoryStored) -> Kept:
    row = KeptRow(
        namespace=event.namespace,
        key=event.key,
        inline=event.value.inline,
        blob=event.value.blob,
        size_bytes=event.size_bytes,
        stored_ms=event.stored_ms,
        expires_ms=event.expires_ms,
        by=event.by,
    )
    return Kept(row, event.text)


def _stored(event: f.MemoryStored) -> f.CallRecorded:
    """The call of which a stored value is the record."""
    return f.CallRecorded(
        by=event.by,
        role=event.role,
        face=event.face,
        tool=f.STORE,
        subject=f"{event.namespace}/{event.key}",
        call=event.command,
    )


def audit_row(
    seq: int, place: int, at_ms: int, event: f.CallRecorded | f.AccessRecorded
) -> AuditRow:
    """An event of the audit as its row."""
    call = event if isinstance(event, f.CallRecorded) else None
    return AuditRow(
        seq=seq,
        place=place,
        at_ms=at_ms,
        kind="access" if call is None else "call",
        by=event.by,
        role=None if call is None else call.role,
        face=event.face,
        tool=None if call is None else call.tool,
        code=event.code,
        message=event.message,
        subject=None if call is None else call.subject,
        swarm=None if call is None else call.swarm,
        call=None if call is None else call.call,
        count=event.count,
    )

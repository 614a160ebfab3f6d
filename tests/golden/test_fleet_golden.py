"""The fleet's log of every release still folds to what it meant then."""

import typing
from importlib.metadata import version

import pytest

from tests.golden.fleet_golden import folded, known, outcome
from tests.golden.golden import Golden
from visionflow.domain.fleet import FleetEvent, decode_fleet_record, encode_fleet_record
from visionflow.engine.fleet import audit

LOGS = known()


def test_the_present_version_has_a_log_of_the_fleet_with_every_kind_of_event() -> None:
    release = version("visionflow")
    bodies = [body for each in LOGS if each.version == release for body in each.records]
    met = {type(event) for body in bodies for event in decode_fleet_record(body).events}
    missing = set(typing.get_args(FleetEvent)) - met
    assert not missing, sorted(kind.__name__ for kind in missing)


@pytest.mark.parametrize("each", LOGS, ids=lambda each: each.name)
def test_a_released_log_of_the_fleet_folds_to_the_state_it_had(each: Golden) -> None:
    state = folded(each.records)
    assert outcome(state) == each.outcome
    assert state.digest() == each.states[version("visionflow")]
    assert audit(state) == []


@pytest.mark.parametrize("each", LOGS, ids=lambda each: each.name)
def test_a_released_log_of_the_fleet_is_written_again_byte_for_byte(each: Golden) -> None:
    for body in each.records:
        record = decode_fleet_record(body)
        assert encode_fleet_record(record.at_ms, record.events) == body

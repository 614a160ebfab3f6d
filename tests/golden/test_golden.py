"""The log of every release still folds to what it meant then."""

import typing
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.golden import golden
from tests.golden.golden import Golden, folded, known, outcome
from visionflow.domain.events import AnyEvent, decode_record, encode_record
from visionflow.engine.audit import audit

LOGS = known()


def test_the_present_version_has_its_log() -> None:
    assert version("visionflow") in [each.version for each in LOGS]


@pytest.mark.parametrize("each", LOGS, ids=lambda each: each.name)
def test_a_released_log_folds_to_the_state_it_had(each: Golden) -> None:
    state = folded(each.records)
    assert outcome(state) == each.outcome
    assert state.digest() == each.states[version("visionflow")]
    assert audit(state) == []


@pytest.mark.parametrize("each", LOGS, ids=lambda each: each.name)
def test_a_released_log_is_written_again_byte_for_byte(each: Golden) -> None:
    for body in each.records:
        record = decode_record(body)
        assert encode_record(record.at_ms, record.events) == body


def test_the_logs_of_this_version_hold_every_kind_of_event() -> None:
    latest = [
        body for each in LOGS if each.version == version("visionflow") for body in each.records
    ]
    met = {type(event) for body in latest for event in decode_record(body).events}
    missing = set(typing.get_args(AnyEvent)) - met
    assert not missing, sorted(kind.__name__ for kind in missing)


def test_a_log_that_is_there_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "HERE", tmp_path)
    golden.write()
    golden.write("more")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    for what in (None, "more"):
        with pytest.raises(FileExistsError):
            golden.write(what)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

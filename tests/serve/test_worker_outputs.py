"""What worker processes print is kept: apart while they live, together when they have ended."""

from pathlib import Path

import pytest

from visionflow.compose.outputs import KEPT_BYTES_MAX, OUTPUT_BYTES_MAX, TAIL_BYTES, Outputs
from visionflow.domain.secrecy import masked


def test_each_process_prints_into_a_file_of_its_own_and_its_end_is_its_last_words(
    tmp_path: Path,
) -> None:
    log = tmp_path / "workers.log"
    outputs = Outputs(log, masked)
    mine, other = outputs.file_of("s/1", "w1", 3), outputs.file_of("s/1", "w2", 1)
    assert mine.parent == other.parent == tmp_path / "workers"
    mine.write_text("x" * TAIL_BYTES + "\nKeyError: 'model'")
    other.write_text("another\n")
    words = outputs.ended(mine)
    assert words.splitlines()[-1] == "KeyError: 'model'"
    assert len(words) == TAIL_BYTES
    assert not mine.exists()
    assert other.exists()
    assert outputs.ended(mine) == ""
    assert outputs.ended(other) == "another\n"
    assert log.read_text().endswith("KeyError: 'model'\nanother\n")


def test_what_a_process_of_before_left_is_collected_with_the_next_one_on_its_place(
    tmp_path: Path,
) -> None:
    outputs = Outputs(tmp_path / "workers.log", masked)
    outputs.file_of("s", "w1", 1).write_text("left\n")
    kept = outputs.file_of("s", "w10", 1)
    kept.write_text("lives\n")
    again = outputs.file_of("s", "w1", 2)
    again.write_text("mine\n")
    assert outputs.file_of("s", "w1", 2).read_text() == "mine\n", (
        "it is asked again after a restart"
    )
    assert (tmp_path / "workers.log").read_text() == "left\n"
    assert kept.read_text() == "lives\n"


def test_of_a_flood_the_end_is_kept_and_it_is_said_how_much_is_not(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "workers.log", masked)
    flood = outputs.file_of("s", "w1", 1)
    flood.write_bytes(b"flood\n" * KEPT_BYTES_MAX)
    outputs.ended(flood)
    kept = (tmp_path / "workers.log").read_bytes()
    assert len(kept) < KEPT_BYTES_MAX + 100
    assert kept.startswith(b"... %d bytes left out ...\n" % (5 * KEPT_BYTES_MAX))


@pytest.mark.acceptance("logs")
def test_what_a_living_process_printed_too_much_of_is_cut_to_its_end_and_it_goes_on(
    tmp_path: Path,
) -> None:
    outputs = Outputs(tmp_path / "workers.log", masked)
    flood, calm = outputs.file_of("s", "w1", 1), outputs.file_of("s", "w2", 1)
    calm.write_text("calm\n")
    with flood.open("ab", buffering=0) as printing:
        printing.write(b"flood\n" * (OUTPUT_BYTES_MAX // 3))
        size = flood.stat().st_size
        assert outputs.keep_within_bounds() == [(flood.stem, size - KEPT_BYTES_MAX)]
        printing.write(b"goes on\n")
    content = flood.read_bytes()
    assert content.startswith(b"... %d bytes left out ...\n" % (size - KEPT_BYTES_MAX))
    assert content.endswith(b"flood\ngoes on\n") and len(content) < KEPT_BYTES_MAX + 100
    assert outputs.keep_within_bounds() == [] and calm.read_text() == "calm\n"


@pytest.mark.acceptance("logs")
def test_what_a_process_printed_is_without_secrets_in_the_log_and_in_its_last_words(
    tmp_path: Path,
) -> None:
    outputs = Outputs(tmp_path / "workers.log", masked)
    path = outputs.file_of("s", "w1", 1)
    path.write_text("connecting with password=corr3ct-h0rse\n")
    assert outputs.ended(path) == "connecting with password=***\n"
    assert (tmp_path / "workers.log").read_text() == "connecting with password=***\n"

"""The benchmark measures what it says: small loads, and no word about how fast they were."""

from pathlib import Path

import msgspec
import pytest

from bench import dead_worker as dead
from bench.__main__ import main
from bench.bus import bus
from bench.candidates import candidates
from bench.contenders import WrongResult, check, timed
from bench.figures import Row, Series, percentile, ratio, text_of
from bench.ours import VisionFlow, in_the_file
from bench.peers import autogen_side
from bench.processes import NotThere
from bench.rounds import Budget, interleaved


class Absent:
    """A peer that cannot be started."""

    name = "absent"

    def open(self, folder: Path) -> None:
        raise NotThere("nobody installed it")

    def run(self, tasks: int, window: int) -> None:
        raise AssertionError("it never opened")

    def singles(self, tasks: int) -> list[float]:
        raise AssertionError("it never opened")

    def close(self) -> None:
        pass


def test_every_task_of_a_burst_is_in_the_file_as_submitted_assigned_and_completed(
    tmp_path: Path,
) -> None:
    ours = VisionFlow()
    ours.open(tmp_path)
    try:
        burst = timed(lambda: ours.run(100, 8), 100)
        assert len(ours.singles(3)) == 3
    finally:
        ours.close()
    records, kinds = in_the_file(tmp_path)
    assert burst.tasks == 100
    assert records > 0
    assert kinds["TaskSubmitted"] == kinds["TaskAssigned"] == kinds["TaskCompleted"] == 603


def test_a_dead_workers_task_runs_again_and_a_peer_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead, "CASES", {"kill -9": dead.signal.SIGKILL})
    monkeypatch.setattr(dead.dramatiq_side, "find_spec", lambda name: None)
    row = dead.dead_worker(1)
    ours, theirs = row.series
    assert len(ours.samples) == 1 and ours.samples[0] > 0
    assert theirs.samples == () and "not installed" in (theirs.why or "")
    assert list(row.ratios.values()) == [None]


def test_a_wrong_result_stops_the_measurement() -> None:
    check(4, 8)
    with pytest.raises(WrongResult):
        check(4, 9)


def test_a_peer_that_is_missing_gives_no_figure_but_a_reason() -> None:
    found = interleaved([Absent], 2, lambda contender, folder: 1.0)
    assert found == {"absent": ([], "nobody installed it")}
    missing = Series("absent", "tasks/s", (), "nobody installed it")
    assert ratio(Series("ours", "tasks/s", (5.0,)), missing) is None
    assert "null   nobody installed it" in text_of(Row("row", "what", (missing,)))


def test_the_median_and_the_extremes_of_the_rounds_are_told() -> None:
    series = Series("ours", "tasks/s", (300.0, 100.0, 200.0))
    assert (series.least, series.middle, series.most) == (100.0, 200.0, 300.0)
    assert percentile(range(100), 0.99) == 99


def test_copies_are_made_and_seen_to_be_whole_by_each_who_makes_them() -> None:
    row = candidates(rounds=1, files=40)
    assert [series.unit for series in row.series] == ["s"] * 3 + ["MiB"] * 3
    assert all(series.least and series.least > 0 for series in row.series)
    assert len(row.ratios) == 4 and None not in row.ratios.values()


def test_messages_are_counted_where_they_arrive_and_a_missing_peer_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autogen_side, "find_spec", lambda name: None)
    row = bus(Budget(tasks=100, seconds=0.1, rounds=1))
    assert [series.unit for series in row.series] == ["messages/s"] * 2 + ["ms"] * 4
    ours, theirs = row.series[::2], row.series[1::2]
    assert all(series.least and series.least > 0 for series in ours)
    assert all("not installed" in (series.why or "") for series in theirs)
    assert set(row.ratios.values()) == {None}


def test_a_row_is_told_as_one_object(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["matching-of-nobody"]) == 2
    assert main(["failover", "--json", "--rounds", "1"]) == 0
    told = msgspec.json.decode(capfdbinary.readouterr().out)
    (row,) = told["rows"]
    assert row["series"][0]["median"] > 0
    assert told["machine"]["cores"] >= 1

"""Log lines: their form, what is left out of them, how large their files grow, what came last."""

import io
import json
import os
import threading
import time
from pathlib import Path

import pytest

from visionflow.adapters.lines import Echo, LineLog, copy_aside


def test_a_line_has_date_time_level_agent_code_and_message(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log")
    log.log("warning", "agent_1_x", "worker lost", "it died\nby itself \x1b[31m")
    log.log("info", None, "ready", "all of it")
    log.close()
    first, second = (tmp_path / "log").read_text().splitlines()
    date, time, level, agent, code, message = first.split(" ", 5)
    assert (len(date), len(time)) == (10, 12)
    assert (level, agent, code) == ("WARNING", "agent_1_x", "worker_lost")
    assert message == "it died\\x0aby itself \\x1b[31m"
    assert second.split(" ")[2:5] == ["INFO", "-", "ready"]


def test_as_json_a_line_is_one_object(tmp_path: Path) -> None:
    echo = io.StringIO()
    log = LineLog(tmp_path / "log", form="json", echo=echo)
    log.log("error", "agent_1", "agent", "two\nlines")
    log.close()  # Returns when the echo is out.
    assert echo.getvalue() == (tmp_path / "log").read_text()
    told = json.loads(echo.getvalue())
    assert (told["level"], told["agent"], told["code"]) == ("error", "agent_1", "agent")
    assert told["message"] == "two\nlines"
    assert told["at"][10] == "T"


def test_lines_below_the_level_are_left_out(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log", level="warning")
    for level in ("debug", "info", "warning", "error"):
        log.log(level, None, level, "x")
    assert [line.split()[4] for line in log.tail()] == ["warning", "error"]
    log.close()


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abcdefghijklmnop",
        "basic dXNlcjpwYXNzd29yZA==",
        "vf_k1d9_0123456789abcdefghijABCDEFGHIJ",
        "sk-0123456789abcdefghijklmn",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_credential_stands_in_a_line(tmp_path: Path, secret: str, form: str) -> None:
    log = LineLog(tmp_path / "log", form=form)
    log.log("info", None, "agent", f"it said {secret} and went on")
    log.close()
    told = (tmp_path / "log").read_text()
    assert secret.split()[-1] not in told
    assert "***" in told
    assert "and went on" in told


def test_the_files_together_stay_within_a_bound_and_the_last_lines_are_found(
    tmp_path: Path,
) -> None:
    log = LineLog(tmp_path / "log", bytes_max=2_000, kept=2)
    for number in range(200):
        log.log("info", f"agent_{number % 2}", "count", f"number {number}")
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 3
    assert sum(sizes) < 3 * 2_200
    last = [int(line.rpartition(" ")[2]) for line in log.tail(limit=50)]
    assert last == list(range(150, 200))
    own = [int(line.rpartition(" ")[2]) for line in log.tail(agent="agent_1", limit=10)]
    assert own == list(range(181, 200, 2))
    assert log.tail(level="warning") == []
    log.close()


def test_a_tail_of_a_large_file_is_whole_lines(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log")
    for number in range(3_000):
        log.log("info", None, "count", f"{'ü' * 30} {number}")
    last = [int(line.rpartition(" ")[2]) for line in log.tail(limit=2_500)]
    assert last == list(range(500, 3_000))
    log.close()


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log", bytes_max=50_000, kept=9)

    def write(name: int) -> None:
        for number in range(300):
            log.log("info", f"agent_{name}", "count", str(number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name in range(4):
        lines = log.tail(agent=f"agent_{name}", limit=1_000)
        assert [int(line.rpartition(" ")[2]) for line in lines] == list(range(300))
    log.close()


def test_a_disk_that_takes_no_line_costs_a_line_and_no_more() -> None:
    log = LineLog(Path("/dev/full"))
    log.log("info", None, "lost", "x" * 100_000)
    log.close()


def test_a_reader_that_stands_still_holds_up_nobody_and_is_told_what_it_missed() -> None:
    there, here = os.pipe()
    os.set_blocking(there, True)
    with os.fdopen(here, "w") as stream, os.fdopen(there) as reader:
        echo = Echo(stream, lines_max=10)
        for number in range(3_000):
            echo.write(f"{number} {'x' * 1_000}\n")
        seen = [reader.readline() for _ in range(5)]
        assert [line.split()[0] for line in seen] == ["0", "1", "2", "3", "4"]
        drained: list[str] = []
        drain = threading.Thread(target=lambda: drained.extend(reader))
        drain.start()
        sent, deadline = 0, time.monotonic() + 30
        while not any("later" in line for line in drained) and time.monotonic() < deadline:
            echo.write("later\n")
            sent += 1
            time.sleep(0.01)
        echo.close()
        stream.close()
        drain.join(30)
        told = [int(line.split()[1]) for line in drained if line.startswith("... ")]
        came = [*range(5), *(int(line.split()[0]) for line in drained if line[0].isdigit())]
        late = sum(line == "later\n" for line in drained)
        assert told
        assert came == sorted(set(came))
        # Lines of both kinds may have been dropped: all of them are told, whatever the order.
        assert len(came) + late + sum(told) == 3_000 + sent


def test_a_file_of_others_that_grew_too_large_is_emptied_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "workers.log"
    with path.open("ab", buffering=0) as worker:
        worker.write(b"old\n" * 10)
        copy_aside(path, bytes_max=100)
        assert path.read_bytes() == b"old\n" * 10
        copy_aside(path, bytes_max=30)
        worker.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "workers.log.1").read_bytes() == b"old\n" * 10
    copy_aside(tmp_path / "none")

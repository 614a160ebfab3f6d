"""The front keeps a stand-in orchestrator going, passes on what a person wants, leaves nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from visionflow.adapters.os_processes import stat

PROGRAM = str(Path(__file__).with_name("front_program.py"))
WAIT_S = 120.0
COUNT = """
import os, signal, sys, time
with open("lives", "a") as file:
    file.write("x")
lives = os.path.getsize("lives")
"""
LISTEN = """
import os, signal, time
pipe = int(os.environ["VISIONFLOW_FRONT_FD"])
signal.signal(signal.SIGINT, lambda number, frame: None)
signal.signal(signal.SIGTERM, lambda number, frame: None)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
open("ready", "w").close()
"""
OBEYS = LISTEN + 'said = os.read(pipe, 9)\nos._exit({b"s": 130, b"sk": 131}[said])'
TELLS = (
    LISTEN
    + """
while said := os.read(pipe, 9):
    with open("said", "ab") as file:
        file.write(said)
    if b"k" in said:
        os._exit(131)
open("gone", "w").close()
"""
)


class Fronted:
    """A front in a process group of its own, with files of the stand-in in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, code: str, *options: object, deaf: bool = False) -> None:
        argv = [sys.executable, PROGRAM, code, *map(str, options)]
        if deaf:
            argv = ["nohup", *argv]
        self.process = subprocess.Popen(
            argv,
            cwd=self.folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def ending(self) -> dict[str, Any]:
        assert self.process is not None
        out, self.said = self.process.communicate(timeout=WAIT_S)
        return json.loads(out)

    def until(self, name: str, reached: Callable[[bytes], bool] = lambda text: True) -> bytes:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            path = self.folder / name
            if path.exists() and reached(path.read_bytes()):
                return path.read_bytes()
            time.sleep(0.01)
        raise AssertionError(f"{name} did not come")

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        assert self.process is not None
        (os.killpg if group else os.kill)(self.process.pid, number)


@pytest.fixture
def fronted(tmp_path: Path) -> Iterator[Fronted]:
    made = Fronted(tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        with made.process:
            pass


def is_alive(pid: int) -> bool:
    found = stat(pid)
    return found is not None and found.alive


@pytest.mark.parametrize("code", [0, 1, 3, 75])
def test_a_code_of_its_own_is_passed_on_at_once(fronted: Fronted, code: int) -> None:
    fronted.start(COUNT + f"sys.exit({code})")
    assert fronted.ending() == {"code": code, "asked": None, "gave_up": False, "left": []}
    assert fronted.until("lives") == b"x"


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "os.abort()", "sys.exit(70)"])
def test_one_that_was_killed_or_could_not_write_comes_back(fronted: Fronted, death: str) -> None:
    fronted.start(COUNT + f"if lives < 3: {death}")
    assert fronted.ending()["code"] == 0
    assert fronted.until("lives") == b"xxx"
    assert fronted.said.count("goes on from its log") == 2


@pytest.mark.parametrize(("code", "lives"), [(7, b"xxxx"), (1, b"xxxx"), (75, b"x"), (0, b"x")])
def test_a_code_that_was_not_meant_is_a_death_where_it_is_known_which_are(
    fronted: Fronted, code: int, lives: bytes
) -> None:
    fronted.start(COUNT + f"os._exit({code})", "3", "30", "meant")
    gave_up = len(lives) > 1
    assert fronted.ending() == {"code": code, "asked": None, "gave_up": gave_up, "left": []}
    assert fronted.until("lives") == lives
    assert (f"ended with exit code {code}; it goes on" in fronted.said) is gave_up


def test_one_that_dies_too_often_is_given_up(fronted: Fronted) -> None:
    fronted.start(COUNT + "os.kill(os.getpid(), 9)")
    assert fronted.ending() == {"code": -9, "asked": None, "gave_up": True, "left": []}
    assert fronted.until("lives") == b"xxxx"


def test_what_an_orchestrator_left_is_gone_before_the_next_begins(fronted: Fronted) -> None:
    orphan = """
import subprocess
if lives == 1:
    child = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}],"
    middle += " start_new_session=True)"
    subprocess.run([sys.executable, "-c", middle])
    while not (os.path.exists("pid") and os.path.getsize("pid")):
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
pid = int(open("pid").read())
sys.exit(4 if os.path.exists(f"/proc/{pid}") else 0)
"""
    fronted.start(COUNT + orphan)
    assert fronted.ending() == {"code": 0, "asked": None, "gave_up": False, "left": []}
    assert not is_alive(int(fronted.until("pid")))


WORKER = """
import subprocess
if lives == 1:
    # A worker with a child of its own in its session that has lost its parent, and a stray.
    stay = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {stay!r}, 'child'])"
    worker = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}]); "
    for name, code, env in (
        ("worker", worker + stay, {"VISIONFLOW_WORKER": "{}"}), ("stray", stay, {})
    ):
        argv = [sys.executable, "-c", code, name]
        env, quiet = {**os.environ, **env}, subprocess.DEVNULL
        subprocess.Popen(argv, env=env, start_new_session=True, stdout=quiet, stderr=quiet)
    names = ("worker", "child", "stray")
    while not all(os.path.exists(name) and os.path.getsize(name) for name in names):
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
def runs(name):
    try:
        return open(f"/proc/{open(name).read()}/stat").read().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False
sys.exit(0 if (runs("worker"), runs("child"), runs("stray")) == (True, True, False) else 4)
"""


@pytest.mark.parametrize("keeps", ["spares", "leaves"])
def test_a_worker_with_all_that_is_its_own_lives_on_for_the_next_orchestrator(
    fronted: Fronted, keeps: str
) -> None:
    fronted.start(COUNT + WORKER, 3, 30, keeps)
    try:
        assert fronted.ending() == {"code": 0, "asked": None, "gave_up": False, "left": []}
        pids = [int(fronted.until(name)) for name in ("worker", "child")]
        # When nobody comes any more they go, unless they shall be left.
        assert [is_alive(pid) for pid in pids] == [keeps == "leaves"] * 2
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(fronted.until("worker")), signal.SIGKILL)


def test_children_that_it_had_before_are_none_of_its_business(tmp_path: Path) -> None:
    words = f"sleep 600 >/dev/null 2>&1 & echo $! > pid; exec {sys.executable} {PROGRAM} 'pass'"
    ran = subprocess.run(
        ["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S
    )
    pid = int((tmp_path / "pid").read_text())
    try:
        assert json.loads(ran.stdout)["left"] == []
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_first_interrupt_asks_to_stop_and_the_second_to_kill(fronted: Fronted) -> None:
    fronted.start(TELLS)
    fronted.until("ready")
    fronted.send(signal.SIGINT, group=True)
    assert fronted.until("said") == b"s"
    fronted.send(signal.SIGINT, group=True)
    assert fronted.ending() == {"code": 131, "asked": 2, "gave_up": False, "left": []}
    assert fronted.until("said") == b"sk"


def test_a_third_ends_an_orchestrator_that_obeys_nothing(fronted: Fronted) -> None:
    fronted.start(LISTEN + "time.sleep(600)")
    fronted.until("ready")
    assert fronted.process is not None and fronted.process.stderr is not None
    fronted.send(signal.SIGINT)
    assert "Stopping" in fronted.process.stderr.readline()
    fronted.send(signal.SIGINT)
    assert "Ending" in fronted.process.stderr.readline()
    fronted.send(signal.SIGINT)
    assert fronted.ending() == {"code": -9, "asked": 2, "gave_up": False, "left": []}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_twice_to_terminate_is_one_wish(
    fronted: Fronted, number: signal.Signals
) -> None:
    fronted.start(OBEYS)
    fronted.until("ready")
    fronted.send(number)
    fronted.send(number)
    assert fronted.ending() == {"code": 130, "asked": number, "gave_up": False, "left": []}


def test_a_stop_that_takes_too_long_becomes_a_kill(fronted: Fronted) -> None:
    fronted.start(TELLS, 3, 0.2)
    fronted.until("ready")
    fronted.send(signal.SIGTERM)
    assert fronted.ending()["code"] == 131
    assert fronted.until("said") == b"sk"


def test_an_orchestrator_that_is_told_to_stop_does_not_come_back(fronted: Fronted) -> None:
    fronted.start(COUNT + LISTEN + "os.read(pipe, 1); os.kill(os.getpid(), 9)")
    fronted.until("ready")
    fronted.send(signal.SIGINT)
    assert fronted.ending() == {"code": -9, "asked": 2, "gave_up": False, "left": []}
    assert fronted.until("lives") == b"x"


def test_an_interrupt_before_the_orchestrator_listens_waits_for_it(fronted: Fronted) -> None:
    early = "import os, time; open('early', 'w').close(); time.sleep(0.3)\n"
    fronted.start(early + OBEYS)
    fronted.until("early")
    fronted.send(signal.SIGINT, group=True)
    assert fronted.ending()["code"] == 130


def test_a_killed_front_is_noticed_at_the_pipes_end(fronted: Fronted) -> None:
    fronted.start(TELLS)
    fronted.until("ready")
    fronted.send(signal.SIGKILL)
    fronted.until("gone")


def test_a_front_that_is_deaf_to_hanging_up_stays_so(fronted: Fronted) -> None:
    fronted.start(TELLS, deaf=True)
    fronted.until("ready")
    fronted.send(signal.SIGHUP)
    fronted.send(signal.SIGINT)
    fronted.until("said", lambda said: bool(said))
    fronted.send(signal.SIGINT)
    assert fronted.ending()["asked"] == signal.SIGINT


def test_being_stopped_and_continued_changes_nothing(fronted: Fronted) -> None:
    fronted.start(TELLS)
    fronted.until("ready")
    fronted.send(signal.SIGSTOP, group=True)
    fronted.send(signal.SIGCONT, group=True)
    fronted.send(signal.SIGINT)
    assert fronted.until("said", bool) == b"s"
    fronted.send(signal.SIGINT)
    assert fronted.ending()["code"] == 131


def test_the_orchestrator_can_print_nothing_on_standard_output(fronted: Fronted) -> None:
    fronted.start("print('noise')")
    assert fronted.ending()["code"] == 0
    assert "noise" in fronted.said


def test_a_signal_while_a_server_that_ended_is_cleaned_up_after_does_not_break_that_off(
    fronted: Fronted,
) -> None:
    """Of `serve`, with an ending put in the place of a server's life and a slow look for what is
    left."""
    code = f"""
    import os, signal, sys, time
    from pathlib import Path
    from visionflow.cli import descendants, front, serving
    asked = front.Ending(0, signal.SIGTERM, False, [])
    front.Front._until_it_ends = lambda self, hear, before: asked
    looks = []
    def look(*given):
        looks.append(given)
        if len(looks) == 2:
            Path("looks").touch()
            while not os.path.exists("go"):
                time.sleep(0.01)
            Path("looked").touch()
    descendants.end_marked = look
    sys.exit(serving.serve(words=serving.Words(home=Path({str(fronted.folder / "home")!r}))))
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(argv, cwd=fronted.folder, start_new_session=True) as server:
        fronted.process = server
        fronted.until("looks")
        fronted.send(signal.SIGTERM)
        (fronted.folder / "go").touch()
        assert server.wait(WAIT_S) == 0
    assert (fronted.folder / "looked").exists()

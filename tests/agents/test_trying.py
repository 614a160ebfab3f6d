"""An import that would end or hold up whoever does it is noticed before somebody does it."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from visionflow.agents.trying import in_thread, try_function, try_import
from visionflow.domain.errors import ConfigError
from visionflow.domain.supervision import RecoverySpec, Upkeep
from visionflow.interfaces.templates import class_of
from visionflow.settings.agents import AgentTemplate

PATIENCE_S = 60
GOOD = "from visionflow.agents.base import BaseAgent\nclass X(BaseAgent):\n    pass\n"


def written(folder: Path, code: str, name: str = "mine.py") -> str:
    (folder / name).write_text(code + GOOD)
    return f"{folder / name}:X"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os\nos._exit(7)\n", "exit code 7"),
        ("import os\nos._exit(0)\n", "exit code 0"),
        ("import os\nos.kill(os.getpid(), 9)\n", "SIGKILL"),
        ("import os\nos.abort()\n", "SIGABRT"),
    ],
)
def test_a_class_whose_import_ends_the_process_is_a_fault_of_its_template(
    tmp_path: Path, code: str, how: str
) -> None:
    template = AgentTemplate("gone", written(tmp_path, code), {}, source="agents.yaml line 2")
    with pytest.raises(ConfigError, match=f"ends the process that does it: {how}"):
        class_of(template)


def test_one_that_never_returns_is_given_up_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"with open({str(pid)!r}, 'w') as file:\n    file.write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(ConfigError, match="did not come to an end within 10 s"):
        try_import(written(tmp_path, code), 10.0)
    if pid.exists():
        assert ended(pid), "what it started lives on"


def ended(pid: Path) -> bool:
    """Whether the process of this number ends, be it some time from now."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def begun(pid: Path) -> bool:
    """Whether a process writes its number there."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if pid.exists() and pid.read_text():
            return True
        time.sleep(0.02)
    return False


def hanging(folder: Path, name: str) -> tuple[str, Path]:
    """A class whose import never returns, and where that writes its process."""
    pid = folder / f"{name}.pid"
    code = (
        "import os, time\n"
        f"with open({str(pid)!r}, 'w') as file:\n    file.write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    return written(folder, code, f"{name}.py"), pid


def test_a_try_ends_with_whoever_asked_for_it_however_that_one_ended(tmp_path: Path) -> None:
    path, pid = hanging(tmp_path, "slow")
    asks = f"from visionflow.agents.trying import try_import; try_import({path!r}, 500.0)"
    asker = subprocess.Popen([sys.executable, "-c", asks])
    try:
        assert begun(pid)
    finally:
        asker.kill()
        asker.wait()
    assert ended(pid), "nobody is left who would end it"


def test_a_try_that_nobody_waits_for_any_more_ends_and_anothers_goes_on(tmp_path: Path) -> None:
    (path, pid), (other, others_pid) = hanging(tmp_path, "slow"), hanging(tmp_path, "other")

    async def leave_one() -> None:
        waits = asyncio.ensure_future(in_thread(lambda: try_import(path, 500.0)))
        stays = asyncio.ensure_future(in_thread(lambda: try_import(other, 500.0)))
        assert await asyncio.to_thread(begun, pid) and await asyncio.to_thread(begun, others_pid)
        waits.cancel()
        assert await asyncio.to_thread(ended, pid)
        assert psutil.pid_exists(int(others_pid.read_text())) and not stays.done()
        stays.cancel()

    asyncio.run(leave_one())
    assert ended(others_pid)


def test_it_is_looked_for_where_this_process_looks_and_what_it_raises_is_told_by_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, "import only_here\n", "mine_that_needs.py")
    (tmp_path / "only_here.py").write_text("import os, sys\nif 'x' in sys.path:\n    os._exit(3)\n")
    try_import("mine_that_needs:X")
    monkeypatch.setattr(sys, "path", [*sys.path, "x"])
    with pytest.raises(ConfigError, match="exit code 3"):
        try_import("mine_that_needs:X")
    with pytest.raises(ConfigError, match=r"ValueError: no .*mine\.py:1"):
        class_of(AgentTemplate("a", written(tmp_path, "raise ValueError('no')\n"), {}, source="s"))


def test_what_is_imported_already_is_not_tried_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"with open({str(count)!r}, 'a') as count:\n    count.write('x')\n"
    path = written(tmp_path, code)
    template = AgentTemplate("mine", path, {}, source="agents.yaml")
    assert class_of(template) is class_of(template)
    assert count.read_text() == "xx"


STRATEGY = (
    "print('hello')\n"
    "LIMIT = 3\n"
    "def choose(failure):\n    return {}\n"
    "def two(failure, more):\n    return {}\n"
    "async def later(failure):\n    return {}\n"
)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "has no nothing"),
        ("LIMIT", "is int, and no function"),
        ("two", "cannot be called with one failure"),
        ("later", "is async, and nobody awaits it"),
    ],
)
def test_a_strategy_that_is_no_plain_function_is_a_fault_of_its_template(
    tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "mine.py").write_text(STRATEGY + GOOD)
    upkeep = Upkeep(RecoverySpec(name="own", call=f"{tmp_path / 'mine.py'}:{name}"))
    source = "agents.yaml line 2"
    template = AgentTemplate("t", f"{tmp_path / 'mine.py'}:X", {}, source=source, upkeep=upkeep)
    with pytest.raises(ConfigError, match=told) as caught:
        class_of(template)
    assert caught.value.message.startswith(f"{source}: The recovery strategy 'own' of the template")


def test_one_that_is_there_may_say_what_it_likes_when_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STRATEGY)
    for _ in range(2):
        try_function(f"{tmp_path / 'mine.py'}:choose")
    (tmp_path / "mine.py").write_text(STRATEGY.replace("choose", "chosen"))
    with pytest.raises(ConfigError, match="has no choose"):
        try_function(f"{tmp_path / 'mine.py'}:choose")
    with pytest.raises(ConfigError, match="No module named 'no_such_module'"):
        try_function("no_such_module:choose")
    (tmp_path / "gone.py").write_text("import os\nos._exit(3)\n")
    with pytest.raises(ConfigError, match="ends the process that does it: exit code 3"):
        try_function(f"{tmp_path / 'gone.py'}:choose")

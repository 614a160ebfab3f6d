"""A user's own strategy is called in a process of its own, and cannot hold anybody up."""

import asyncio
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from visionflow.compose.asking import asking
from visionflow.domain.errors import ConfigError
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import Payload
from visionflow.runtime.advice import KEYS, advice_in

STRATEGIES = """\
import os, subprocess, sys, time

def good(failure):
    print("some words of its own")
    return {"timeout": failure["timeout"] * 2, "config": {"a": 1}}

def raises(failure):
    raise RuntimeError("no idea")

def hangs(failure):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(failure["pids"], "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(600)

def ends(failure):
    os._exit(3)

def strange(failure):
    return {1, 2}
"""


def ask(tmp_path: Path, name: str, answer_s: float = 60.0, **failure: Any) -> object:
    file = tmp_path / "strategies.py"
    file.write_text(STRATEGIES)
    return asyncio.run(asking((), answer_s)(f"{file}:{name}", failure))


def test_it_is_told_the_failure_and_its_answer_comes_back(tmp_path: Path) -> None:
    assert ask(tmp_path, "good", timeout=2) == {"timeout": 4, "config": {"a": 1}}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "RuntimeError: no idea"),
        ("ends", "ended with code 3"),
        ("strange", "not JSON serializable"),
        ("gone", "has no gone"),
    ],
)
def test_whoever_gives_no_answer_is_named_with_the_reason(
    tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        ask(tmp_path, name)


def test_when_its_time_is_up_it_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(ConfigError, match="did not answer within"):
        ask(tmp_path, "hangs", 5.0, pids=str(pids))
    deadline = time.monotonic() + 60
    for pid in map(int, pids.read_text().split() if pids.exists() else ()):
        while psutil.pid_exists(pid) and time.monotonic() < deadline:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                break
            time.sleep(0.02)
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (None, Advice()),
        ({}, Advice()),
        ({"restart": False, "wait": 1.5}, Advice(restart=False, wait_ms=1_500)),
        ({"memory": 5, "timeout": 2}, Advice(memory_bytes=5, timeout_ms=2_000)),
        ({"config": {"a": 1}}, Advice(config=Payload(inline=b"\x81\xa1a\x01"))),
        ([], Advice(fault="it gave list, and must give a dict")),
        ({"wiat": 1}, Advice(fault=f"it gave 'wiat'; it may give {', '.join(KEYS)}")),
        ({"wait": -1}, Advice(fault="wait is -1, and must be 0 to 31536000 seconds")),
        ({"wait": float("nan")}, Advice(fault="wait is nan, and must be 0 to 31536000 seconds")),
        ({"memory": True}, Advice(fault="memory is True, and must be bytes")),
        ({"restart": "no"}, Advice(fault="restart is 'no', and must be true or false")),
        ({"config": 1}, Advice(fault="config is 1, and must be a dict")),
    ],
)  # fmt: skip
def test_an_answer_holds_only_where_all_of_it_is_sound(answer: object, advice: Advice) -> None:
    assert advice_in(answer) == advice

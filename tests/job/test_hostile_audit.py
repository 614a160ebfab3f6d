"""An audit with all roles of a repository whose code attacks whatever runs it: nothing gets out.

Its code runs in the tester's hands, again on the coder's patch, in the reviewers' votes and when
functions are called in both versions, or to pin what they do; each time it tries the same.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from hostile import DIALS, ENV_NAME, READS, Hostile, holding, make_hostile, planted_in
from jobs import snapshot

from visionflow.adapters.confine import OsSandbox

GOAL = "Audit this repository: security, quality, tests"
RUN_S_MAX = 240.0
PINNING = """
import asyncio, sys
from visionflow.agents import TesterAgent
from visionflow.compose.local import local_agent

async def main():
    async with local_agent(TesterAgent) as tester:
        for file in await tester.generate_unit_tests(sys.argv[1]):
            print(file.path, file.text)

asyncio.run(main())
"""


class Audited(NamedTuple):
    """What is known when the run has ended."""

    hostile: Hostile
    secret: str
    before: dict[str, Any]
    after: dict[str, Any]
    printed: "subprocess.CompletedProcess[str]"
    pinned: "subprocess.CompletedProcess[str]"
    run: Path
    dialled: list[str]
    left: list[str]

    @property
    def view(self) -> dict[str, Any]:
        return json.loads((self.run / "summary.json").read_bytes())


@pytest.fixture(scope="module")
def audited() -> Iterator[Audited]:
    if not OsSandbox().confinement.active:
        pytest.skip("nothing on this machine confines foreign code")
    secret = f"s3cr3t-{secrets.token_hex(12)}"
    # Not in /tmp, which a confined command may have for itself.
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        lines = [stack.enter_context(each) for each in listeners(base)]
        tcp, tcp9500, line = lines
        hostile = make_hostile(
            base, secret, tcp.getsockname()[1], tcp9500.getsockname(), line.getsockname()
        )
        before = seen(hostile)
        printed = visionflow(hostile, secret, "run", GOAL, "--workspace", str(hostile.workspace))
        pinned = python(hostile, secret, "-c", PINNING, str(hostile.workspace))
        left = processes_with(hostile.mark)
        after = seen(hostile)
        dialled = [str(each.getsockname()) for each in lines if was_dialled(each)]
        (run,) = hostile.out.glob("run_*")
        yield Audited(hostile, secret, before, after, printed, pinned, run, dialled, left)


def listeners(base: Path) -> Iterator[socket.socket]:
    """Sockets that listen and whose callers wait in the backlog for `was_dialled`."""
    yield socket.create_server(("127.0.0.1", 0))
    try:
        yield socket.create_server(("127.0.95.1", 9500))
    except OSError:
        yield socket.create_server(("127.0.0.1", 0))
    line = socket.socket(socket.AF_UNIX)
    line.bind(str(base / "line"))
    line.listen()
    yield line


def was_dialled(line: socket.socket) -> bool:
    line.settimeout(0)
    try:
        line.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def visionflow(hostile: Hostile, secret: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command, as a user with a home folder and a secret in the environment calls it."""
    command = ("-m", "visionflow.cli", *words, "--out", str(hostile.out))
    return python(hostile, secret, *command)


def python(hostile: Hostile, secret: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Our own Python in that user's environment."""
    own = {
        "HOME": str(hostile.home), ENV_NAME: secret, "TMPDIR": str(hostile.temporary),
        "VISIONFLOW_HOME": str(hostile.own),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-P", *words],
        env={**os.environ, **own},
        cwd=hostile.base,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
    )


def seen(hostile: Hostile) -> dict[str, Any]:
    """Everything of the user's, as it is now."""
    return {
        "workspace": snapshot(hostile.workspace),
        "home": snapshot(hostile.home),
        "outside": snapshot(hostile.outside),
        "beside": sorted(os.listdir(hostile.base)),
    }


def processes_with(mark: str) -> list[str]:
    found: list[str] = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes()
        except OSError:
            continue
        if mark.encode() in words:
            found.append(f"{each.parent.name}: {words!r}")
    return found


@pytest.mark.acceptance("main-job", "confine")
def test_a_hostile_repository_is_audited_to_the_end(audited: Audited) -> None:
    view = audited.view
    assert view["status"] == "completed", audited.printed.stderr
    assert {task["status"] for task in view["tasks"]} == {"completed"}, view["tasks"]
    assert view["gates"]["tests"] is True
    report = (audited.run / "report.md").read_text()
    assert "2 passed, 0 failed" in report and "confined" in report
    assert "not confined" not in report
    for what in ("Files", "Network", "Processes"):
        assert re.search(rf"{what} of the tests held by: \w+", report), what


@pytest.mark.acceptance("confine")
def test_its_code_was_run_by_each_role_and_every_attack_was_refused(audited: Audited) -> None:
    suite = ElementTree.parse(audited.run / "junit.xml")
    told, forked = [case.get("name", "") for case in suite.iter("testcase")]
    assert forked == "test_forks"
    found = dict(each.split("=", 1) for each in re.split(r"[|\[\]]", told) if "=" in each)
    assert set(found) == {*READS, *DIALS}, (audited.run / "junit.xml").read_text()
    assert not [each for each in found.items() if each[1].startswith("got-")]
    assert "home=" in audited.pinned.stdout, audited.pinned.stderr
    assert "=got-" not in audited.pinned.stdout
    # The patch takes an import away, which the function tells: it was called on both sides.
    vote = audited.view["vote"]
    assert {ballot["evidence"] for ballot in vote["ballots"]} == {"findings", "tests", "behaviour"}
    choices = {ballot["evidence"]: ballot["choice"] for ballot in vote["ballots"]}
    assert choices == {"findings": "approve", "tests": "approve", "behaviour": "reject"}
    (why,) = [each["reason"] for each in vote["ballots"] if each["evidence"] == "behaviour"]
    assert "shop/prices.py:price" in why and "home=" in why and "=got-" not in why


@pytest.mark.acceptance("main-job", "confine")
def test_nothing_of_the_users_is_changed_and_nothing_planted_is_found_outside(
    audited: Audited,
) -> None:
    for what, before in audited.before.items():
        assert audited.after[what] == before, what
    assert planted_in(audited.hostile.base) == []
    assert not (audited.hostile.own / "trust.json").exists()


@pytest.mark.acceptance("confine")
def test_nobody_was_dialled(audited: Audited) -> None:
    assert audited.dialled == []


@pytest.mark.acceptance("confine")
def test_no_process_of_its_code_is_left(audited: Audited) -> None:
    assert audited.left == []


@pytest.mark.acceptance("confine")
def test_the_secrets_are_in_no_output(audited: Audited) -> None:
    needle = audited.secret.encode()
    assert holding(audited.hostile.base, needle) == [str(audited.hostile.key)]
    for done in (audited.printed, audited.pinned):
        assert audited.secret not in done.stdout + done.stderr


@pytest.mark.acceptance("confine", "workspace")
def test_the_patch_changes_regular_files_of_the_snapshot_alone(audited: Audited) -> None:
    change = audited.view["change"]
    assert change["outcome"] == "changed"
    patch = (audited.run / "changes.patch").read_text()
    assert set(re.findall(r"^diff --git a/(\S+) b/", patch, re.M)) == {
        "hard.py", "plain.py", "shop/prices.py", "shop/zforks.py",
    }  # fmt: skip
    assert not re.search(
        r"^(new file|deleted file|old mode|new mode|index \S+ 120000)", patch, re.M
    )
    private = audited.run / "state" / "repository" / "repository.git"
    assert sorted(path.name for path in (private / "hooks").glob("*")) == []
    assert "evil" not in (private / "config").read_text()
    assert "evil" not in (private / "info" / "attributes").read_text()


@pytest.mark.acceptance("workspace")
def test_the_change_is_brought_in_without_obeying_the_repository(audited: Audited) -> None:
    hostile = audited.hostile
    # The hard link was never committed, and a branch carries no unfinished work of the user's.
    applied = visionflow(hostile, audited.secret, "apply", audited.run.name, "--to-working-tree")
    assert applied.returncode == 0, applied.stderr
    assert "colorsys" not in (hostile.workspace / "hard.py").read_text()
    assert (hostile.workspace / "linked.py").is_symlink()
    assert snapshot(hostile.outside) == audited.before["outside"]
    assert planted_in(hostile.base) == []


@pytest.mark.acceptance("confine")
def test_the_same_attacks_get_through_where_nothing_holds_them() -> None:
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        tcp, tcp9500, line = (stack.enter_context(each) for each in listeners(base))
        hostile = make_hostile(
            base, "known", tcp.getsockname()[1], tcp9500.getsockname(), line.getsockname()
        )
        program = "import sys; sys.path.insert(0, sys.argv[1]); import shop.attack as a"
        told = f"{program}; print(a.OUTCOMES)"
        done = python(hostile, "known", "-c", told, str(hostile.workspace))
        found = dict(each.split("=", 1) for each in done.stdout.strip().split("|"))
        assert [found[name] for name in READS] == [
            "got-known", "got-known", "got-known", "got-known", "got-known",
            f"got-['{ENV_NAME}=known']",
        ]  # fmt: skip
        assert [found[name] for name in DIALS] == ["got-None"] * len(DIALS)
        assert all(was_dialled(each) for each in (tcp, tcp9500, line))
        assert len(planted_in(base)) > len(DIALS)
        assert (hostile.own / "trust.json").exists()

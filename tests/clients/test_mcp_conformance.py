"""The conformance suites of the protocol, against our app with the fixtures that they ask for."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from real_clients import PATIENCE_S, node, program, ran

HERE = Path(__file__).parent
OLD = "@modelcontextprotocol/conformance/dist/index.js"
NEW = "conformance-next/dist/index.js"
TASKS = """tasks-lifecycle tasks-capability-negotiation tasks-wire-fields
tasks-request-state-removal tasks-mrtr-input tasks-request-headers tasks-dispatch-and-envelope
tasks-required-task-error tasks-mrtr-composition""".split()
NOTHING_TO_CHECK = {"tasks-status-notifications", "server-sse-polling"}
"""The suites skip what is in the first, and the older one has no check in the second."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The fixture server's address."""
    node()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "fixture_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        try:
            server.wait(30)
        finally:
            server.kill()
            server.wait(10)
            server.stdout.close()


def required(revision: str, home: Path) -> list[str]:
    """The scenarios for servers that a revision requires, and those that are only reported."""
    words = ["list", "--requirements", revision, "--server"]
    listed = ran([node(), program("suites", NEW), *words], home).stdout
    names = re.findall(r"^ +- ([a-z0-9-]+)(?: \[server\])?$", listed.partition("Client")[0], re.M)
    assert len(names) >= 30, listed
    return names


def scenarios(words: list[str], suite: str, url: str, home: Path) -> dict[str, tuple[int, int]]:
    """Run a suite; by scenario how many checks passed and failed."""
    command = [node(), program("suites", suite), "server", "--url", url, *words, "-o", "out"]
    done = ran(command, home)
    found = re.findall(r"^[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed", done.stdout, re.M)
    result = {name: (int(passed), int(failed)) for name, passed, failed in found}
    failed = [name for name, (_, count) in result.items() if count]
    assert done.returncode == 0 and not failed, (failed, done.stdout[-4_000:], done.stderr[-2_000:])
    hollow = {name for name, (passed, _) in result.items() if not passed}
    assert hollow <= NOTHING_TO_CHECK, hollow
    return result


Running = dict[str, "Future[dict[str, tuple[int, int]]]"]
RUNS = {
    "0.1.16": (OLD, ["--suite", "all"]),
    "2025-11-25": (NEW, ["--requirements", "2025-11-25"]),
    "2026-07-28": (NEW, ["--requirements", "2026-07-28"]),
}


@pytest.fixture(scope="module")
def running(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All suites at once: they mostly wait."""
    with ThreadPoolExecutor(len(RUNS)) as pool:
        yield {
            name: pool.submit(scenarios, words, suite, url, tmp_path_factory.mktemp("suite"))
            for name, (suite, words) in RUNS.items()
        }


def test_all_of_0_1_16(running: Running) -> None:
    result = running["0.1.16"].result(PATIENCE_S)
    assert sum(passed for passed, _ in result.values()) == 44


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_everything_that_a_revision_requires(
    revision: str, running: Running, tmp_path: Path
) -> None:
    result = running[revision].result(PATIENCE_S)
    assert set(required(revision, tmp_path)) <= set(result)


def test_the_tasks_extension(
    running: Running,
) -> None:
    result = running["2026-07-28"].result(PATIENCE_S)
    assert len(TASKS) == 9 and set(TASKS) <= set(result)

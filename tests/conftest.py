"""What holds for every test: how hypothesis runs, and that CI skips nothing unnoticed.

It also writes down, when asked, which test claims which row of tests/acceptance.toml; the
comparing is done in tests/house.
"""

import json
import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
NOT_ALLOWED = pytest.StashKey[list[str]]()

# Nothing here is timed: a slow neighbour on the machine is not a fault of ours.
settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("house"), derandomize=True)
settings.load_profile("ci" if IN_CI else "house")

# What a shell runs in the background is deaf to interrupts, and so is every program that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept across runs is kept for this session alone, in processes of tests too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONFLOW_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_ALLOWED] = []
    config.pluginmanager.register(SkipWatch(config, allowed_skips()), "skip-watch")


def allowed_skips() -> tuple[str, ...]:
    """Return the reasons for which a test may be skipped in CI, as prefixes."""
    with (HERE / "allowed_skips.toml").open("rb") as file:
        return tuple(entry["reason"] for entry in tomllib.load(file).get("allowed", []))


class SkipWatch:
    """Fails a CI session in which a test was skipped for a reason that is not listed."""

    def __init__(self, config: pytest.Config, allowed: tuple[str, ...]) -> None:
        self._skipped = config.stash[NOT_ALLOWED]
        self._allowed = allowed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if IN_CI and self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if IN_CI and self._skipped:
            terminalreporter.section("skipped in CI, and not in tests/allowed_skips.toml")
            for line in self._skipped:
                terminalreporter.write_line(line)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if not reason.startswith(self._allowed):
                self._skipped.append(f"{report.nodeid}: {reason}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write {test: [row]} to the file that VISIONFLOW_CLAIMS names, one entry a test function."""
    target = os.environ.get("VISIONFLOW_CLAIMS")
    if target:
        claims = {item.nodeid.partition("[")[0]: sorted(rows_of(item)) for item in session.items}
        Path(target).write_text(json.dumps(claims), encoding="utf-8")


def rows_of(item: pytest.Item) -> Iterator[str]:
    """Yield the rows of the manifest that a test says it proves."""
    for mark in item.iter_markers("acceptance"):
        yield from mark.args

"""The real Claude Code and Codex in whole runs of `visionflow run`, where their providers refuse or
ask for patience, and where what runs them is killed in the middle of a conversation."""

import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fake_models import Model, Refused, Script, Step
from real_contests import GOOD, KEYS, SAID, TOOLS, Contestants, once, runs

from tests.coding.sample import ACCEPT, run_git
from tests.job.jobs import snapshot
from tests.kills.watched_contest import WatchedContest
from visionflow.domain import events as e

pytestmark = pytest.mark.acceptance("coding-agents")
BOTH = ("candidate-1", "candidate-2")
RELEASE = os.environ.get("VISIONFLOW_RELEASE") == "1"


class WatchedAgents(WatchedContest):
    """One run of real agents and all its lives."""

    names = ()
    commands: Sequence[str] = ()

    def words(self) -> list[str]:
        agents = (word for each in self.commands for word in ("--agent", each))
        accept = ("--accept", ACCEPT, "--agent-timeout", "4m")
        return ["Limit the calls", "--workspace", str(self.workspace), *agents, *accept]

    def failed(self, task: str) -> list[e.AttemptFailed]:
        """Attempts at it that came to nothing."""
        return [v for v in self.events if isinstance(v, e.AttemptFailed) and v.task == task]

    @property
    def report(self) -> str:
        assert self.folder is not None
        return (self.folder / "report.md").read_text()

    def at_work(self, name: str) -> dict[int, list[str]]:
        """The words of each process that stands in a candidate's copy, by its pid."""
        assert self.folder is not None
        tree, found = str(self.folder / "state/coding" / name / "tree"), dict[int, list[str]]()
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(each / "cwd") == tree:
                    words = (each / "cmdline").read_bytes().split(b"\0")
                    found[int(each.name)] = [os.fsdecode(word) for word in words[:-1]]
        return found

    def hangs(self, name: str) -> bool:
        """Whether it is in the middle of what its model had it run."""
        if self.folder is None:
            return False
        return ["tail", "-f", "/dev/null"] in self.at_work(name).values()

    def kill_tool(self, name: str) -> None:
        """SIGKILL to the program of a candidate, which is the oldest of its processes."""
        with suppress(ProcessLookupError):
            os.kill(min(self.at_work(name)), signal.SIGKILL)


@pytest.fixture
def contestants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contestants]:
    with ExitStack() as stack:
        yield Contestants(tmp_path, monkeypatch, stack)


@pytest.fixture
def run(contestants: Contestants, tmp_path: Path) -> Iterator[WatchedAgents]:
    before = snapshot(contestants.workspace)
    watched = WatchedAgents(contestants.workspace, tmp_path / "runs")
    with watched:
        yield watched
        assert watched.living() == []
    assert snapshot(contestants.workspace) == before


BAD_KEY = Refused(401, "authentication_error", "invalid x-api-key")
NO_MODEL = Refused(
    404, "model_not_found", "The model nope does not exist or you do not have access to it."
)
WORDS = {
    ("claude", 401): "Invalid API key",  # It has words of its own for some.
    ("claude", 404): "issue with the selected model",
    ("claude", 400): "Credit balance is too low",
    ("codex", 401): BAD_KEY.message,
    ("codex", 404): NO_MODEL.message,
}
NO_CREDIT = Refused(
    400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
)


@pytest.mark.parametrize(
    ("key_of", "model_of"), [("claude", "codex"), ("codex", "claude")][: 1 + RELEASE]
)
def test_three_that_are_refused_for_good_end_at_once_with_their_providers_words_and_one_wins(
    key_of: str, model_of: str, run: WatchedAgents, contestants: Contestants
) -> None:
    bad_key, first = contestants.command(key_of, lambda results: BAD_KEY)
    no_model, second = contestants.command(model_of, lambda results: NO_MODEL)
    no_credit, third = contestants.command(
        "claude", lambda results: NO_CREDIT if results else runs("claude", "echo half > half.txt")
    )
    good, _ = contestants.command(key_of, once(key_of, GOOD))
    run.commands = (bad_key, no_model, no_credit, good)
    run.start()
    code, summary = run.result()
    run.look()
    assert (code, summary["contest"]["winner"]) == (0, "candidate-4")
    asked = ((key_of, first, 401), (model_of, second, 404), ("claude", third, 400))
    for number, (tool, model, status) in enumerate(asked, 1):
        name = f"candidate-{number}"
        told = run.told(name)
        assert (told["standing"], told["outcome"]) == ("out", "failed")
        for words in (f"{tool} was refused for good: ", WORDS[tool, status]):
            assert words in told["told"] and words in run.report
        # Once and for all: no second attempt, no wait, and few requests.
        assert [(v.kind, v.retry_at_ms) for v in run.failed(name)] == [("permanent", None)]
        assert [go.how for go in run.journal(name).goes] == ["started"]
        assert 1 <= len(model.refused) <= 6
        printed = json.dumps(summary) + run.report + run.log_of(name).decode()
        assert not [key for key in KEYS.values() if key in printed]
    # The first turn of the third counts too, though it came to no end.
    told = summary["contest"]
    assert told["tokens"] == sum(
        (each["input_tokens"] or 0) + (each["output_tokens"] or 0) for each in told["candidates"]
    )
    assert (run.told("candidate-3")["input_tokens"], run.told("candidate-3")["turns"]) == (1, 1)
    assert told["unreported"] >= 1
    # What it had done until its credit was gone is kept, where it is said to be.
    kept = re.search(r"refs/visionflow/kept/[^ ]+[0-9a-z]", run.told("candidate-3")["told"])
    assert kept is not None
    assert run_git(run.repository, "show", f"{kept[0]}:half.txt") == "half"


def patient(tool: str, busy: Refused) -> Script:
    """A model that is busy once, and then good."""
    left = [busy]
    return lambda results: left.pop() if left else once(tool, GOOD)(results)


@pytest.mark.parametrize("tool", TOOLS[: 1 + RELEASE])
def test_one_that_is_asked_for_patience_waits_once_until_then_goes_on_and_wins(
    tool: str, run: WatchedAgents, contestants: Contestants
) -> None:
    busy = Refused(429, "rate_limit_error", "Too many requests.", {"retry-after": "12"})
    own: tuple[str, ...] = ()
    if tool == "codex":
        # Left to itself it would obey without a word; so it gives up, as after its last retry.
        most = (f"model_providers.fake.{n}_max_retries=0" for n in ("request", "stream"))
        own = tuple(word for each in most for word in ("-c", each))
    command, model = contestants.command(tool, patient(tool, busy), *own)
    run.commands = (command,)
    run.start()
    code, summary = run.result()
    run.look()
    assert (code, summary["contest"]["winner"]) == (0, "candidate-1")
    (wait,) = run.failed("candidate-1")
    assert wait.kind == "throttled" and "429" in wait.reason
    assert "was asked for patience by its provider" in wait.reason
    first, second, *anew = run.journal("candidate-1").goes
    assert (first.how, second.how) == ("started", "resumed")
    # Whether a tool keeps a conversation that had no answer yet is its own affair; one that it
    # does not find any more is begun anew.
    assert [each.how for each in anew] in ([], ["started_again"])
    assert anew or first.session == second.session is not None
    # Codex does not tell how long; then the wait is ours.
    asked_ms = 12_000 if tool == "claude" else 30_000
    assert wait.retry_at_ms is not None
    assert first.began_ms + asked_ms <= wait.retry_at_ms <= second.began_ms
    assert model.refused == [429]
    went = "started, then resumed its session"
    assert run.told("candidate-1")["went"].startswith(went)
    assert (run.told("candidate-1")["went"] == went) is not bool(anew)


class Stalling:
    """A model whose second command hangs; once it hears that it was interrupted it is good."""

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.model = Model(self)
        self.done = False

    def __call__(self, results: list[str]) -> Step:
        if not results:
            return runs(self.tool, "echo half > half.txt")
        if "You were interrupted" not in json.dumps(self.model.asked[-1]):
            return runs(self.tool, "tail -f /dev/null")
        if self.done:
            return SAID
        self.done = True
        return runs(self.tool, GOOD)


@pytest.mark.parametrize("what", ["workers", "programs", "everything"][: 1 + 2 * RELEASE])
def test_killed_in_the_middle_of_a_conversation_both_go_on_with_their_own(
    what: str, run: WatchedAgents, contestants: Contestants
) -> None:
    scripts = {name: Stalling(tool) for name, tool in zip(BOTH, TOOLS, strict=True)}
    commands: list[str] = []
    for script in scripts.values():
        command, script.model = contestants.command(script.tool, script)
        commands.append(command)
    run.commands = commands
    run.start()
    run.until(lambda: all(run.hangs(name) for name in BOTH))
    sessions = {name: run.journal(name).session for name in BOTH}
    assert None not in sessions.values()
    if what == "workers":
        for worker in {run.worker_of(name) for name in BOTH}:
            run.kill_worker(worker)
    elif what == "programs":
        for name in BOTH:
            run.kill_tool(name)
    else:
        run.kill_everything()
        run.start()
    code, summary = run.result()
    run.look()
    assert (code, summary["status"]) == (0, "completed")
    assert run.alive_at_recovery == []
    for name, script in scripts.items():
        told, journal = run.told(name), run.journal(name)
        assert not script.model.failed
        assert (told["outcome"], told["goes"]) == ("changed", ["started", "resumed"])
        assert told["standing"] in ("taken", "good")
        assert told["files"] == ["half.txt", "shop/limits.py"]
        assert [go.session for go in journal.goes] == [sessions[name]] * 2
        # What it had done before is in the conversation that it went on with.
        heard = json.dumps(script.model.asked[-1])
        assert "half.txt" in heard and "You were interrupted" in heard
        assert [v.kind for v in run.failed(name)] == ([] if what == "programs" else ["killed"])

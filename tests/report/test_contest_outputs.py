"""What a run of coding agents leaves: its facts from the log, its changes, and how it ends."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.coding.sample import make_sample
from tests.report.contests import (
    BASE,
    CONFLICT,
    attempted,
    contest,
    judged,
    none_good,
    run_of,
    split,
)
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.candidates.values import (
    DIFF_CHARS_MAX,
    Attempted,
    Contest,
    Gated,
    Ranking,
    Usage,
)
from visionflow.agents.command.ledger import Line, record
from visionflow.agents.findings import Finding
from visionflow.agents.plans import Plan, PlanPhase, PlanTask
from visionflow.agents.report.facts import GoesFacts, RunFacts
from visionflow.agents.report.view import as_json, view_of
from visionflow.agents.roles.job import storable
from visionflow.agents.workspace.changes import commit
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.compose.job.contests import with_diffs
from visionflow.compose.job.exits import ExitCode
from visionflow.compose.job.folder import Order, RunFolder
from visionflow.compose.job.outputs import facts_of, outcome_of, status_of, write_outputs
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import PartStory, Story
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.runtime.intake import pack


def _plan(count: int, *, queue: bool = False) -> Plan:
    agents = tuple(
        PlanTask(f"candidate-{n}", "coder", "implement", f"candidate {n}", command="claude")
        for n in range(1, count + 1)
    )
    judges = tuple(
        PlanTask(f"judge-{n}", "tester", "judge", of=f"candidate-{n}") for n in range(1, count + 1)
    )
    phases = [PlanPhase("attempt", agents), PlanPhase("judge", judges)]
    if queue:
        phases.append(PlanPhase("merge", (PlanTask("integrate", "coordinator", "integrate"),)))
    phases.append(
        PlanPhase("decide", (PlanTask("rank", "coordinator", "rank"),), uses=("attempt",))
    )
    return Plan("Add limits", "code", "Agents were named.", ("winner", "tests"), (), tuple(phases))


class Run:
    """A run whose tasks ended as the test says."""

    def __init__(self, folder: Path, count: int = 2, *, queue: bool = False) -> None:
        self.plan = _plan(count, queue=queue)
        self.folder = RunFolder(folder / "run_x")
        self.order = Order(
            "run_x", "Add limits", str(folder / "ws"), (), False, None, {}, "", self.plan, "why"
        )
        self.story = Story(self.plan)
        self.story.plan = PartStory(TaskStatus.COMPLETED)
        self.blobs = MemoryBlobs()

    def ends(self, task: str, status: TaskStatus, reason: str | None = None) -> None:
        self.story.parts[task].status = status
        self.story.parts[task].reason = reason

    def gives(self, task: str, **result: object) -> None:
        self.ends(task, TaskStatus.COMPLETED)
        packed = pack({key: storable(value) for key, value in result.items()}, "it", self.blobs)
        self.story.parts[task].result = packed

    def facts(self, status: str = "completed") -> RunFacts:
        return facts_of(self.folder, self.order, self.story, status, self.blobs)

    @property
    def status(self) -> str:
        return status_of(self.story, self.blobs)


def _done(*outcomes: Any) -> list[Attempted]:
    return [attempted(n, outcome=outcome) for n, outcome in enumerate(outcomes, 1)]


# Facts -----------------------------------------------------------------------------------------


def test_the_facts_hold_what_ended_and_why_others_did_not(tmp_path: Path) -> None:
    run = Run(tmp_path, 3)
    run.story.plan = PartStory(TaskStatus.ORCHESTRATING)
    run.gives("candidate-1", attempted=attempted(1), notes=["a note"], warnings=[])
    run.ends("candidate-2", TaskStatus.FAILED, "claude: 401 invalid x-api-key")
    run.ends("candidate-3", TaskStatus.PENDING, "claude: 429 too many requests")
    run.story.parts["candidate-3"].until_ms = 1_000
    found = run.facts("running")
    assert found.contest == Contest(
        attempted=(attempted(1),), failed=(("candidate-2", "claude: 401 invalid x-api-key"),)
    )
    assert found.notes == ("a note",)
    waiting = next(each for each in found.tasks if each.task == "candidate-3")
    assert (waiting.until_ms, waiting.command) == (1_000, "claude")


def test_a_plan_with_a_merge_queue_is_of_split_work_before_anything_was_merged(
    tmp_path: Path,
) -> None:
    found = Run(tmp_path, queue=True).facts("running").contest
    assert found is not None and found.split
    found = Run(tmp_path).facts("running").contest
    assert found is not None and not found.split


def test_a_result_that_is_kept_as_a_blob_is_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.gives("candidate-1", attempted=attempted(1, summary="x" * 100_000))
    assert run.story.parts["candidate-1"].result.blob is not None
    contest = run.facts().contest
    assert contest is not None and contest.attempted[0].task == "candidate-1"


def test_what_each_agent_used_is_that_of_all_its_goes_by_the_ledger(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.facts().goes == {}
    run.ends("candidate-1", TaskStatus.FAILED, "claude: no credit left")
    for task, number, usage in (
        ("candidate-1", 1, Usage(100, None)),
        ("candidate-2", 1, Usage(7, 1)),
        ("candidate-1", 2, Usage(20, 5, 40)),
    ):
        record(run.folder.coding, Line(task, number, "claude", usage))
    assert run.facts().goes == {
        "candidate-1": GoesFacts(Usage(120, 5, 40), whole=False),
        "candidate-2": GoesFacts(Usage(7, 1), whole=True),
    }


# How it ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (("failed", "timed_out"), "failed"),
        (("flooded", "out_of_memory"), "failed"),
        (("failed", "changed"), "completed"),
        (("failed", "nothing_changed"), "completed"),
        (("failed", "violation"), "completed"),
    ],
)
def test_a_run_has_failed_where_no_agent_came_to_an_end_of_its_own(
    tmp_path: Path, outcomes: tuple[str, str], status: str
) -> None:
    run = Run(tmp_path)
    for made in _done(*outcomes):
        run.gives(made.task, attempted=made)
    for task in ("judge-1", "judge-2", "rank"):
        run.gives(task)
    assert run.status == status


def test_a_run_whose_agents_were_all_refused_has_failed_with_the_providers_words(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path)
    for task in ("candidate-1", "candidate-2"):
        run.ends(task, TaskStatus.FAILED, "claude: 401 invalid x-api-key")
    for task in ("judge-1", "judge-2", "rank"):
        run.gives(task)
    assert run.status == "failed"
    view = view_of(run.facts("failed"))
    assert view.headline == "No agent came to an end: claude: 401 invalid x-api-key."
    assert outcome_of(as_json(view)).exit_code == ExitCode.FAILED


def test_a_run_of_which_a_result_is_lost_is_not_called_failed_for_that(tmp_path: Path) -> None:
    run = Run(tmp_path, 1)
    run.ends("candidate-1", TaskStatus.COMPLETED)
    run.story.parts["candidate-1"].result = Payload(blob="0" * 64)
    assert run.status == "completed"
    assert "The result of candidate 1 is lost" in run.facts().notes[0]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (contest(), ExitCode.DONE),
        (none_good(), ExitCode.GATE_FAILED),
        (split(), ExitCode.DONE),
        (split(CONFLICT), ExitCode.UNMERGED),
        (
            msgspec.structs.replace(
                split(CONFLICT),
                ranking=Ranking((), None, "It breaks a test.", unmerged=(CONFLICT,)),
            ),
            ExitCode.GATE_FAILED,
        ),
    ],
    ids=["one wins", "none good", "all landed", "unmerged", "unmerged and not good"],
)
def test_the_exit_code_tells_a_bad_result_from_one_that_lacks_a_part(
    told: Contest, code: ExitCode
) -> None:
    assert outcome_of(as_json(view_of(run_of(told)))).exit_code == code


# Changes ---------------------------------------------------------------------------------------


def _repository(folder: Path) -> PrivateRepository:
    source = folder / "ws"
    source.mkdir(parents=True, exist_ok=True)
    make_sample(source)
    return asyncio.run(PrivateRepository.create(folder / "run_x" / "state" / "repository", source))


def _changed(repository: PrivateRepository, name: bytes, content: bytes) -> str:
    made = commit(repository.path, repository.snapshot, {name: content}, "a change")
    return asyncio.run(made)


def test_the_change_of_each_candidate_is_read_from_the_runs_repository(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    tip = _changed(repository, b"shop/limits.py", b"def limited():\n    return True\n")
    told = with_diffs(
        contest(attempted=(attempted(1, base=repository.snapshot, tip=tip),
                           attempted(2, base=repository.snapshot, tip=None))),
        RunFolder(tmp_path / "run_x"),
    )  # fmt: skip
    assert list(told.diffs) == ["candidate-1"]
    assert "diff --git a/shop/limits.py b/shop/limits.py" in told.diffs["candidate-1"]
    assert "+def limited():\n+    return True\n" in told.diffs["candidate-1"]


def test_the_change_of_merged_work_is_from_the_first_base_to_the_last_tip(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    tip = _changed(repository, b"shop/limits.py", b"LIMIT = 3\n")
    told = split()
    first, last = told.integrated
    told = msgspec.structs.replace(
        told, attempted=(), integrated=(
            msgspec.structs.replace(first, base=repository.snapshot, tip=BASE),
            msgspec.structs.replace(last, base=BASE, tip=tip)),
    )  # fmt: skip
    told = with_diffs(told, RunFolder(tmp_path / "run_x"))
    assert "+LIMIT = 3" in told.diffs["result"]


def test_a_large_change_is_cut_after_a_line_and_says_so(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    body = "".join(f"line {n} é\n" for n in range(60_000)).encode()
    tip = _changed(repository, b"shop/limits.py", body)
    made = attempted(1, base=repository.snapshot, tip=tip)
    diff = with_diffs(contest(attempted=(made,)), RunFolder(tmp_path / "run_x")).diffs[
        "candidate-1"
    ]
    assert len(diff) <= DIFF_CHARS_MAX + 40
    *lines, last = diff.splitlines()
    assert last == "[cut here: the change goes on]"
    assert lines[-1].startswith("+line ") and lines[-1].endswith(" é")


def test_a_change_that_is_known_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = _repository(tmp_path)
    tip = _changed(repository, b"shop/limits.py", b"LIMIT = 4\n")
    told = contest(attempted=(attempted(1, base=repository.snapshot, tip=tip),))
    folder = RunFolder(tmp_path / "run_x")
    first = with_diffs(told, folder)
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **named: started.append(words))
    assert with_diffs(told, folder) == first
    assert started == []


def test_a_change_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    repository = _repository(tmp_path)
    told = contest(attempted=(attempted(1, base=repository.snapshot, tip="9" * 40),))
    diffs = with_diffs(told, RunFolder(tmp_path / "run_x")).diffs
    assert diffs["candidate-1"].startswith("The change cannot be read: git diff-tree ended with")


def test_without_a_repository_nothing_is_said_of_changes(tmp_path: Path) -> None:
    assert with_diffs(contest(diffs={}), RunFolder(tmp_path / "run_x")).diffs == {}


# Files -----------------------------------------------------------------------------------------


def test_the_outputs_hold_the_change_and_no_secret_that_the_gate_found_in_it(
    tmp_path: Path,
) -> None:
    repository = _repository(tmp_path)
    secret = "sw0rdfish-" + "7731"
    body = f'"""Limits."""\nGREETING = "{secret}"\n'.encode()
    tip = _changed(repository, b"shop/limits.py", body)
    run = Run(tmp_path, 1)
    found = Finding(
        "detect-secrets", "Secret Keyword", "high", "Secret Keyword", "shop/limits.py", 2, cwe=798
    )
    made = attempted(1, base=repository.snapshot, tip=tip, summary=f"I put {secret} in.")
    run.gives("candidate-1", attempted=made)
    run.gives("judge-1", judged=judged(1, tip=tip, gate=Gated("failed", new=(found,))))
    view = write_outputs(
        run.folder, run.order, run.story, "completed", run.blobs, Secrecy(run.folder)
    )
    assert view.contest is not None
    diff = view.contest.candidates[0].diff
    assert diff is not None and "GREETING" in diff and "[secret SHA-256 " in diff
    written = (
        run.folder.report.read_text(),
        run.folder.page.read_text(),
        json.dumps(as_json(view)),
    )
    for text in written:
        assert "GREETING" in text
        assert secret not in text


def test_a_run_without_a_survey_knows_the_commit_that_its_workspace_stood_on(
    tmp_path: Path,
) -> None:
    repository = _repository(tmp_path)
    run = Run(tmp_path, 1)
    run.gives("candidate-1", attempted=attempted(1))
    facts = run.facts()
    assert (facts.head, facts.dirty) == (repository.head, False)
    assert facts.head is not None

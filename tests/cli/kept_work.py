"""Runs with kept work of agents, made without any agent: the same folders, refs and copies."""

import asyncio
import os
from pathlib import Path

from tests.agents.changed_folder import AFTER, BEFORE, EXECUTABLE, commit_of, fill, git
from visionflow.agents.candidates.values import Attempted, Contest, Judged, Ranked, Ranking
from visionflow.agents.evidence import Ballot, Change
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.candidates import make_copy
from visionflow.agents.workspace.changes import name_branch, start_of
from visionflow.agents.workspace.keeping import keep
from visionflow.compose.job import RunFolder, create_run


class KeptWork:
    """A workspace, a run of it, and three candidates: the first is taken, the second is not good,
    the third broke a rule and has something of an earlier attempt."""

    def __init__(self, top: Path, *, git_too: bool = True) -> None:
        self.workspace = fill(top / "shop", BEFORE)
        if git_too:
            git(self.workspace, "init", "-q", "-b", "main")
            git(self.workspace, "add", ".")
            git(self.workspace, "commit", "-q", "-m", "one")
        self.out = top / "runs"
        self.folder: RunFolder = create_run(
            "Fix the lint findings", self.workspace, self.out, cache=False
        )
        place = self.folder.state / "repository"
        self.repository = asyncio.run(PrivateRepository.create(place, self.workspace))
        self.base = asyncio.run(start_of(self.repository))
        self.tips = {name: self._made(top, name) for name in ("1", "2", "3", "old")}
        asyncio.run(self._keep())

    @property
    def run(self) -> str:
        return self.folder.run

    def _made(self, top: Path, name: str) -> str:
        files = {**AFTER, "edited.py": f"new = {name!r}\n".encode()}
        made = fill(top / f"made-{name}", files)
        for each in EXECUTABLE:
            (made / each).chmod(0o755)
        number, attempt = ("3", 1) if name == "old" else (name, 2)
        message = (
            f"What {name} did\n\nVisionFlow-Run: {self.run}\n"
            f"VisionFlow-Task: candidate-{number}\nVisionFlow-Attempt: {attempt}\n"
        )
        return commit_of(self.repository.path, self.base, made, message)

    async def _keep(self) -> None:
        for number in "123":
            await keep(self.repository, f"candidate-{number}", self.tips[number])
        await keep(self.repository, "candidate-3", self.tips["old"], attempt=1)
        await name_branch(self.repository.path, self.run, self.tips["1"])

    def copy(self, task: str) -> Path:
        """A working copy and a home, as the task's agent had them."""
        folder = self.folder.coding / task
        (folder / "home" / ".cache").mkdir(parents=True)
        (folder / "home" / ".cache" / "model").write_bytes(os.urandom(50_000))
        (folder / "output.log").write_text("said\n")
        work = make_copy(self.repository, folder / "tree", run=self.run, task=task, base=self.base)
        asyncio.run(work)
        return folder / "tree"

    def facts(self, status: str = "completed", winner: str | None = "candidate-1") -> RunFacts:
        """What the log of such a run would tell."""
        against = Ballot("tests", "reject", "tests", "test_total fails")
        judged = (
            Judged("candidate-1", self.tips["1"]),
            Judged("candidate-2", self.tips["2"], ballots=(against,)),
        )
        attempted = (
            *(
                Attempted(
                    f"candidate-{n}", "claude -p {goal}", "claude",
                    "violation" if n == "3" else "changed",
                    reason="it moved main" if n == "3" else None, base=self.base,
                    tip=self.tips[n], insertions=9, deletions=4,
                )
                for n in "123"
            ),
            Attempted("candidate-4", "a", "script", "nothing_changed", "it changed nothing"),
        )  # fmt: skip
        order = (
            Ranked("candidate-1", 1, winner is not None, ()), Ranked("candidate-2", 2, False, ()),
        )  # fmt: skip
        why = "It alone passes." if winner else "A test fails with each."
        ranking = Ranking(order, winner, why) if status == "completed" else None
        change = Change("changed", base=self.base, tip=self.tips["1"])
        return RunFacts(
            run=self.run, goal="g", playbook="code", why="", workspace=str(self.workspace),
            out=str(self.folder.path), status=status, started="", seconds=1.0,
            change=change if ranking and winner else None,
            contest=Contest(attempted, (("candidate-5", "the key was refused"),), judged,
                            ranking=ranking),
        )  # fmt: skip

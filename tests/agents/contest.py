"""A contest over the sample package: candidates as commits that the scripted agent made, and the
roles that judge and rank them. The gate, git and the sandbox are the real ones.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from role_work import Attempt, do

from tests.coding.sample import ACCEPT, AGENT, make_sample
from visionflow.adapters.confine import OsSandbox
from visionflow.agents import Task
from visionflow.agents.base import GateRunner
from visionflow.agents.candidates.values import Attempted, Judged, Ranking
from visionflow.agents.evidence import Change
from visionflow.agents.roles.coordinator import CoordinatorAgent
from visionflow.agents.roles.job import restored, storable
from visionflow.agents.roles.tester import TesterAgent
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace import changes as c
from visionflow.agents.workspace.copies import lay_out
from visionflow.agents.workspace.git import git
from visionflow.compose.gate.hosted import gate_runner
from visionflow.ports.sandbox import Sandbox

HELD = ("filesystem: landlock",)
SANDBOX: Sandbox = OsSandbox()
GATE = gate_runner(lambda: SANDBOX)
QUICK = {"timeout": 240}


class Arena:
    """A run's folder over the sample."""

    def __init__(
        self,
        tmp_path: Path,
        accept: tuple[str, ...] = (ACCEPT,),
        altered: Callable[[Path], Path] = lambda folder: folder,
    ) -> None:
        """`altered`: makes another workspace of the sample."""
        self.tmp = tmp_path
        self.accept = accept
        self.source = altered(make_sample(tmp_path / "shop"))
        self.state = tmp_path / "state"
        self.results: dict[str, Any] = {}
        self.opened = asyncio.run(PrivateRepository.create(self.state / "repository", self.source))
        self.base = asyncio.run(c.start_of(self.opened))

    def attempt(self, name: str, actions: str, **about: Any) -> Attempted:
        """What the scripted agent leaves after these actions, as a finished attempt."""
        tip, size = asyncio.run(self._commit(name, actions))
        made = Attempted(
            name, "script", "script",
            **{
                "outcome": "changed", "base": self.base, "tip": tip, "held": HELD,
                "insertions": size.insertions, "deletions": size.deletions, **about,
            },
        )  # fmt: skip
        self.results[name] = {"attempted": storable(made), "notes": [], "warnings": []}
        return made

    def commit(self, name: str, actions: str, onto: str) -> str:
        """A commit with what the scripted agent leaves on another one."""
        return asyncio.run(self._commit(name, actions, onto))[0]

    async def _commit(
        self, name: str, actions: str, onto: str | None = None
    ) -> tuple[str, c.Extent]:
        path, onto = self.opened.path, onto or self.base
        folder = await lay_out(path, onto, self.tmp / "work" / name)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, str(AGENT), actions], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        tree = await self.opened.tree_of(folder)
        who = {
            f"GIT_{kind}_{what}": value
            for kind in ("AUTHOR", "COMMITTER")
            for what, value in (
                ("NAME", "S"),
                ("EMAIL", "s@localhost"),
                ("DATE", "1700000000 +0000"),
            )
        }
        made = await git(path, "commit-tree", tree, "-p", onto, "-m", name, extra=who)
        tip = made.decode().strip()
        await git(path, "update-ref", f"refs/visionflow/kept/{name}", tip)
        return tip, await c.extent(path, onto, tip)

    def given(self, task: str, **more: Any) -> dict[str, Any]:
        """The input of a task of the plan."""
        return {
            "workspace": str(self.source), "repository": str(self.state / "repository"),
            "scratch": str(self.state / "scratch" / task), "folder": str(self.state / "coding"),
            "cache": str(self.tmp.parent / "cache"), "goal": "Add a limit", "run": "r1",
            "accept": list(self.accept), "plan_task": task,
            "patch": str(self.state / "changes.patch"), **more,
        }  # fmt: skip

    def judge(
        self,
        of: str | None,
        *,
        gate: GateRunner | None = GATE,
        attempt: Attempt | None = None,
        sandbox: Sandbox = SANDBOX,
    ) -> Judged:
        """The judgement of a candidate, kept as a result for the ranking."""
        name = f"judge-{of or 'result'}"
        task = Task(
            id=name, type="judge", input=self.given(name, of=of), dependencies=dict(self.results)
        )
        result = do(
            TesterAgent, self.tmp / "own", task, sandbox=sandbox, gate=gate, attempt=attempt,
            config=QUICK,
        )  # fmt: skip
        self.results[name] = result
        return restored(result["judged"], Judged)

    def rank(self) -> tuple[Ranking, Change]:
        task = Task(
            id="rank", type="rank", input=self.given("rank"), dependencies=dict(self.results)
        )
        result = do(CoordinatorAgent, self.tmp / "own", task, sandbox=SANDBOX)
        return restored(result["ranking"], Ranking), restored(result["change"], Change)

    def git(self, *words: str) -> str:
        """What our git prints in the private repository."""
        return asyncio.run(git(self.opened.path, *words)).decode().strip()


def choices(judged: Judged) -> dict[str, str]:
    return {each.member: each.choice for each in judged.ballots}


def reason(judged: Judged, member: str) -> str:
    return next(each.reason for each in judged.ballots if each.member == member)

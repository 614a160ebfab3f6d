"""A run of coding agents, watched from outside: also which agents' programs live, and how many.

The slow one of two waits until a file is there, so that it is under way for as long as a test
wants. Where its programs stand is read from /proc; what became of each start, from the journal that
stands beside its copy.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.coding.sample import ACCEPT, AGENT, command_of, run_git
from tests.kills.watched_run import COMMAND, WAIT_S_MAX, WatchedRun
from visionflow.adapters.os_processes import Identity, is_alive, stat
from visionflow.agents.command.journal import Journal, journal_in
from visionflow.compose.job import RunFolder
from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent

GOAL = "Limit the calls"
QUICK, SLOW = "candidate-1", "candidate-2"
BETTER, WORSE = "good", "writes:notes.txt=half,waits:build/go,wordy"
"""What the two do; the second is longer, so that the first is taken."""
ONE, TWO = "one", "two"
AGAIN_ONE, AGAIN_TWO = "again-one", "again-two"
PLAN = """\
goal: Name the shop
playbook: code
why: It was written by hand.
gates: []
parts: []
phases:
- name: work
  tasks:
  - {id: one, role: coder, type: implement}
  - {id: two, role: coder, type: implement}
"""
"""Both change the same line."""


def phases_of(events: Sequence[AnyEvent]) -> list[tuple[str, bool]]:
    """All phases of a contest in order, each with whether it was reached by these events."""
    begun = {v.task for v in events if isinstance(v, e.TaskStarted)}
    done = {v.task for v in events if isinstance(v, e.TaskCompleted)}
    steps = {(v.task, v.name) for v in events if isinstance(v, e.StepFinished)}
    closed = any(isinstance(v, e.SwarmClosed) for v in events)
    return [
        ("nothing", True),
        ("created", any(isinstance(v, e.SwarmCreated) for v in events)),
        ("workers starting", any(isinstance(v, e.WorkerStarted) for v in events)),
        ("attempting", bool(begun)),
        ("copied", (SLOW, "prepare copy") in steps),
        ("gone", (SLOW, "go") in steps),
        ("judging", bool({"judge-1", "judge-2"} & begun)),
        ("judged one", bool({"judge-1", "judge-2"} & done)),
        ("judged", {"judge-1", "judge-2"} <= done),
        ("ranked", "rank" in done),
        ("ending", closed),
    ]


def phases_of_split(events: Sequence[AnyEvent]) -> list[tuple[str, bool]]:
    """The same for the work of two agents that are at odds."""
    begun = {v.task for v in events if isinstance(v, e.TaskStarted)}
    done = {v.task for v in events if isinstance(v, e.TaskCompleted)}
    return [
        ("nothing", True),
        ("working", bool(begun)),
        ("merging", "integrate-work" in begun),
        ("once more", {AGAIN_ONE, AGAIN_TWO} & begun != set()),
        ("merging again", "integrate-again-work" in begun),
        ("judging", "judge" in begun),
        ("ranking", "judge" in done),
        ("ending", any(isinstance(v, e.SwarmClosed) for v in events)),
    ]


class Conclusion(NamedTuple):
    """What a run came to, as far as it must not depend on how it went."""

    code: int
    status: str
    gates: dict[str, Any]
    winner: str
    standings: list[tuple[str, str, str]]
    """(candidate, standing, outcome) of each."""
    trees: dict[str, str]
    """The files that each left, by git's id of them."""


class WatchedContest(WatchedRun):
    """One run of two agents and all its lives."""

    names = (QUICK, SLOW)
    phases = staticmethod(phases_of)

    def __init__(self, workspace: Path, out: Path) -> None:
        super().__init__(workspace, out)
        self.programs: dict[str, set[Identity]] = {name: set() for name in self.names}
        """Those that were seen, by the candidate whose work they did."""
        self.most: Counter[str] = Counter()
        """How many of one candidate were seen at once."""

    def start(self) -> None:
        """Begin the run, or go on with it when there is one already."""
        folder = self.folder
        words = self.words() if folder is None else ["--resume", folder.name]
        self._front = subprocess.Popen(
            [*COMMAND, *words, "--out", str(self.out), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def words(self) -> list[str]:
        """What `visionflow run` is asked for."""
        agents = ("--agent", command_of(BETTER), "--agent", command_of(WORSE))
        return [GOAL, "--workspace", str(self.workspace), *agents, "--accept", ACCEPT]

    @property
    def phase(self) -> str:
        return [name for name, reached in self.phases(self.events) if reached][-1]

    def reached(self, phase: str) -> None:
        """Wait until the run has come so far, and freeze the orchestrator, which may have gone on
        a little, or to the end of the run."""
        self.until(lambda: dict(self.phases(self.events))[phase])
        self.freeze()

    def freeze(self) -> None:
        """Stop the orchestrator where it is, unless the run is over."""
        front = self._front
        assert front is not None

        def stopped() -> bool:
            orchestrator = self._orchestrator
            if orchestrator is None or not is_alive(orchestrator):
                return front.poll() is not None
            os.kill(orchestrator.pid, signal.SIGSTOP)
            return True

        self.until(stopped)

    # Agents' programs -----------------------------------------------------------------------

    def _scan(self, folder: Path) -> None:
        super()._scan(folder)
        for name in self.programs:
            living = programs_in(folder / "state" / "coding" / name / "tree")
            self.programs[name] |= set(living)
            self.most[name] = max(self.most[name], len(living))

    def program_of(self, name: str) -> Identity:
        """The one that is at work for a candidate, once one is."""
        folder = self.folder
        assert folder is not None
        found: list[Identity] = []

        def lives() -> bool:
            found[:] = programs_in(folder / "state" / "coding" / name / "tree")
            return bool(found)

        self.until(lives)
        return found[0]

    def journal(self, name: str) -> Journal:
        """What became of each start for a candidate."""
        assert self.folder is not None
        return journal_in(RunFolder(self.folder).coding / name)

    def log_of(self, name: str) -> bytes:
        """All that its programs printed; nothing where none was started."""
        assert self.folder is not None
        place = RunFolder(self.folder).coding / name / "output.log"
        return place.read_bytes() if place.exists() else b""

    def let_slow_end(self) -> None:
        """Put the file there that the slow one waits for; the project ignores it."""
        assert self.folder is not None
        place = RunFolder(self.folder).coding / SLOW / "tree" / "build"
        place.mkdir(exist_ok=True)
        (place / "go").touch()

    def until_slow_ends(self) -> None:
        """Let the slow one end, whatever start of it is the last; wait for that."""

        def ends() -> bool:
            if self.journal(SLOW).goes:
                with suppress(OSError):  # Its copy is just made anew.
                    self.let_slow_end()
            return self.completed(SLOW)

        self.until(ends)

    def told(self, name: str) -> dict[str, Any]:
        """What the summary tells of a candidate."""
        assert self.folder is not None
        summary = RunFolder(self.folder).read_summary()
        assert summary is not None
        found = {each["candidate"]: each for each in summary["contest"]["candidates"]}
        return found[name]

    @property
    def repository(self) -> Path:
        """The run's private repository."""
        assert self.folder is not None
        return self.folder / "state" / "repository" / "repository.git"

    def completed(self, task: str) -> bool:
        return any(isinstance(v, e.TaskCompleted) and v.task == task for v in self.events)

    # Killing --------------------------------------------------------------------------------

    def kill_front(self) -> None:
        """SIGKILL to the foreground process alone."""
        front = self._front
        assert front is not None
        front.kill()
        front.communicate(timeout=WAIT_S_MAX)

    def kill_program(self, name: str) -> None:
        """SIGKILL to an agent's program; waits until the next one is at work."""
        old = self.program_of(name)
        with suppress(ProcessLookupError):
            os.kill(old.pid, signal.SIGKILL)
        self.until(lambda: self.program_of(name) != old)

    def ended(self) -> tuple[int, str]:
        """Wait until the foreground returns; its code, and what it said."""
        front = self._front
        assert front is not None
        self.until(lambda: front.poll() is not None)
        printed, said = front.communicate(timeout=WAIT_S_MAX)
        return front.returncode, printed + said

    # The end --------------------------------------------------------------------------------

    def conclusion(self) -> Conclusion:
        """Wait for the end; nothing of the run may live then."""
        code, summary = self.result()
        assert self.living() == []
        self.look()
        told = summary["contest"]["candidates"]
        return Conclusion(
            code,
            summary["status"],
            summary["gates"],
            summary["contest"]["winner"],
            [(each["candidate"], each["standing"], each["outcome"]) for each in told],
            {
                each["candidate"]: run_git(self.repository, "rev-parse", f"{each['tip']}^{{tree}}")
                for each in told
                if each["tip"] is not None
            },
        )


class WatchedSplit(WatchedContest):
    """One run in which two agents do parts of one work, and all its lives."""

    names = (ONE, TWO, AGAIN_ONE, AGAIN_TWO)
    phases = staticmethod(phases_of_split)

    def words(self) -> list[str]:
        plan = self.out.with_name("plan.yaml")
        plan.write_text(PLAN)
        parts = (f"replaces:README.md=# shop=# shop {name}" for name in (ONE, TWO))
        agents = (word for each in parts for word in ("--agent", command_of(each)))
        return [str(plan), "--workspace", str(self.workspace), *agents]


def programs_in(tree: Path) -> list[Identity]:
    """The agent's programs that live and work in this folder."""
    found: list[Identity] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            place = os.readlink(f"/proc/{name}/cwd")
        except OSError:
            continue
        known = stat(int(name))
        own = words[1:2] == [os.fsencode(AGENT)] and words[0] == os.fsencode(sys.executable)
        if own and place == str(tree) and known is not None and known.alive:
            found.append(Identity(known.pid, known.started))
    return found

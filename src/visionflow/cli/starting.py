"""From the words of `visionflow run` to a run: the goal or plan file, the playbook, the trust.

Where the goal does not tell which playbook is meant, a person at a terminal is asked; nobody else
is.
"""

import sys
from pathlib import Path

import msgspec

from visionflow.agents.plans import Plan
from visionflow.agents.tools.text import write_whole
from visionflow.cli.coding import limits_of
from visionflow.cli.terminal import is_terminal, say
from visionflow.compose.job import (
    CodingWish,
    ExitCode,
    OutputError,
    Planned,
    RunFolder,
    UnsureOfPlaybook,
    create_run,
    make_plan,
    plan_text,
    read_plan,
    remember_trust,
    trusted,
)
from visionflow.domain.errors import UsageError

PLAN_NAME = "plan.yaml"
ASKS_MAX = 3
_ABOUT = {
    "audit": "security, quality, tests, structure and safe fixes: all six roles",
    "test": "run the tests and review the code",
    "fix": "make safe mechanical fixes, held to the tests",
    "explain": "find the places that answer, and draw the structure",
}


class Words(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    goal: str
    workspace: Path | None
    out: Path
    trust: bool
    agents: Path | None
    playbook: str | None
    cache: bool
    ask: bool
    """Whether a person may be asked."""
    coding: CodingWish


def start(words: Words) -> RunFolder:
    """A new run, listed but not begun.

    Raises:
        UnsureOfPlaybook: the goal does not tell what is meant, and nobody could be asked.
        VisionFlowError: what `create_run` raises.
    """
    plan, goal, place = _plan_file(words)
    playbook = words.playbook
    if plan is None:
        playbook = _told(words, place)
    folder = create_run(
        goal, place, words.out, words.trust or trusted(place),
        agents=words.agents, playbook=playbook, plan=plan, cache=words.cache, coding=words.coding,
    )  # fmt: skip
    if words.trust:
        remember_trust(place)
    return folder


def write_plan(words: Words, as_json: bool) -> int:
    """Write the plan of a goal into the current folder and run nothing; returns the exit code.

    That is 3 where no present backend can do it.

    Raises:
        UsageError: there is such a file already, and it says something else.
        VisionFlowError: what `make_plan` raises.
    """
    if _names_a_file(words.goal):
        return _print_whole(words, as_json)
    planned = _planned(words)
    if planned.plan is None:
        say(f"visionflow: There is nothing to plan. {planned.why}")
        return ExitCode.BLOCKED
    file = Path(PLAN_NAME)
    text = plan_text(planned.plan, planned.workspace, PLAN_NAME)
    if file.exists() and file.read_text(encoding="utf-8", errors="replace") != text:
        raise UsageError(
            f"{file} is there already and says something else.", hint="Move it away first."
        )
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise OutputError(f"{file} cannot be written here: {error.strerror}.") from error
    if as_json:
        from visionflow.cli.result import print_json

        print_json({"plan": str(file.absolute()), "digest": planned.plan.digest,
                    "playbook": planned.plan.playbook, "why": planned.why})  # fmt: skip
    else:
        print(text, end="")
        again = f"visionflow run {file}{limits_of(words.coding)}"
        say(f"Written to {file}; nothing was run. Run it with: {again}")
    return 0


def _print_whole(words: Words, as_json: bool) -> int:
    """Print what a plan file of coding agents comes to, with its merge queue; nothing is written.

    Raises:
        UsageError: the file is of another playbook: it says all that is done.
    """
    from visionflow.cli.result import print_json
    from visionflow.compose.job.coding import coding_plan
    from visionflow.compose.job.creating import readable

    plan, goal, place = _plan_file(words)
    if plan is None or plan.playbook != "code":
        raise UsageError("A plan file is a plan already; it takes no --plan-only.")
    workspace = readable(place)
    whole = coding_plan(words.coding, goal, plan, workspace)
    if as_json:
        print_json({"plan": None, "digest": whole.digest, "playbook": whole.playbook,
                    "why": whole.why, "phases": msgspec.to_builtins(whole.phases)})  # fmt: skip
    else:
        print(plan_text(whole, workspace, words.goal), end="")
        again = f"visionflow run {words.goal}{limits_of(words.coding)}"
        say(f"Nothing was written or run. Run it with: {again}")
    return 0


def _planned(words: Words) -> Planned:
    place = words.workspace or Path()
    playbook = _told(words, place)
    return make_plan(words.goal, place, playbook=playbook, agents=words.agents, coding=words.coding)


def _plan_file(words: Words) -> tuple[Plan | None, str, Path]:
    """The plan where the goal names a file of one, the goal, and the workspace."""
    place = words.workspace or Path()
    if not _names_a_file(words.goal):
        return None, words.goal, place
    file = Path(words.goal)
    if not file.is_file():
        raise UsageError(
            f"There is no plan file {file}.", hint="`visionflow run GOAL --plan-only` writes one."
        )
    if words.playbook is not None:
        raise UsageError("A plan file says what to do; it takes no --playbook.")
    read = read_plan(file)
    return read.plan, read.plan.goal, words.workspace or Path(read.workspace or ".")


def _names_a_file(goal: str) -> bool:
    return goal.endswith((".yaml", ".yml")) and " " not in goal.strip()


def _told(words: Words, place: Path) -> str | None:
    """The playbook that was named, or that a person chose when the goal does not tell."""
    if words.playbook is not None or not words.ask or words.coding.given:
        return words.playbook
    try:
        make_plan(words.goal, place, agents=words.agents)
    except UnsureOfPlaybook as unsure:
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise
        return _asked(unsure)
    return None


def _asked(unsure: UnsureOfPlaybook) -> str:
    """Ask which playbook is meant.

    Raises:
        UnsureOfPlaybook: there was no answer.
    """
    say(unsure.message)
    for number, name in enumerate(unsure.among, 1):
        say(f"  {number}  {name:<8} {_ABOUT[name]}")
    for _ in range(ASKS_MAX):
        sys.stderr.write("Which one? ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            break
        word = answer.strip().lower()
        if word in unsure.among:
            return word
        if word.isdigit() and 1 <= int(word) <= len(unsure.among):
            return unsure.among[int(word) - 1]
        say(f"Write one of {', '.join(unsure.among)}, or its number.")
    raise unsure

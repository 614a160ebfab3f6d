"""Commands that act on what a report tells, as a person types them into a shell."""

import shlex
from pathlib import PurePath

from visionflow.agents.evidence import Change, Issue
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.gates import UNDER_WAY
from visionflow.agents.report.values import CommandLine


def quoted(word: str) -> str:
    """One word of a shell command on one line, whatever is in it."""
    if word.isprintable():
        return shlex.quote(word)
    told: list[str] = []
    for each in word:
        if each in "'\\":
            told.append("\\" + each)
        elif each.isprintable():
            told.append(each)
        else:
            told += [f"\\x{byte:02x}" for byte in each.encode("utf-8", "surrogatepass")]
    return "$'" + "".join(told) + "'"


def run_command(verb: str, facts: RunFacts) -> str:
    """`visionflow VERB RUN --out ...`."""
    home = str(PurePath(facts.out).parent)
    return f"visionflow {verb} {quoted(facts.run)} --out {quoted(home)}"


def apply_command(facts: RunFacts) -> str:
    """The command that brings the change in: as a branch, where one can stand on a commit that
    holds what the run saw, else into the files themselves."""
    branch = facts.head is not None and not facts.dirty
    return run_command("apply", facts) + ("" if branch else " --to-working-tree")


def can_apply(change: Change | None) -> bool:
    """Whether there is a change to bring into the workspace."""
    return change is not None and change.outcome == "changed" and change.tip is not None


def fixed_by(issue: Issue, change: Change | None) -> bool:
    """Whether a commit of the change is about this issue's rule and file."""
    if change is None or change.outcome != "changed":
        return False
    rules = {rule for _, rule in issue.rules}
    return any(commit.rule in rules and issue.path in commit.files for commit in change.commits)


def acting_on(issue: Issue, facts: RunFacts) -> str:
    """What to type next for this issue: take the patch that mends it, else open the place."""
    if fixed_by(issue, facts.change) and can_apply(facts.change):
        return apply_command(facts)
    return f"${{EDITOR:-vi}} +{issue.line} {quoted(str(PurePath(facts.workspace, issue.path)))}"


def commands_of(facts: RunFacts) -> tuple[CommandLine, ...]:
    """What can be done with this run."""
    told = [CommandLine("show", "Show it", run_command("show", facts))]
    if can_apply(facts.change):
        told.append(CommandLine("apply", "Take the patch", apply_command(facts)))
    if facts.status in UNDER_WAY:
        resumed = run_command("run --resume", facts)
        told.append(CommandLine("resume", "Go on with it", resumed))
    return tuple(told)

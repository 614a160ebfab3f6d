"""Commands that act on what a report tells, as a person types them into a shell."""

import shlex
from collections.abc import Iterator
from pathlib import PurePath

from visionflow.agents.candidates.values import Contest
from visionflow.agents.evidence import Change, Issue
from visionflow.agents.report.contest_gates import unmerged_of
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.gates import UNDER_WAY
from visionflow.agents.report.values import CommandLine
from visionflow.agents.tools.text import one_line

_OTHERS_MAX = 2


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


def run_command(verb: str, facts: RunFacts, part: str | None = None) -> str:
    """`visionflow VERB RUN [PART] --out ...`."""
    home = str(PurePath(facts.out).parent)
    of = "" if part is None else f" {quoted(part)}"
    return f"visionflow {verb} {quoted(facts.run)}{of} --out {quoted(home)}"


def apply_command(facts: RunFacts) -> str:
    """The command that brings the change in: as a branch, where one can stand on a commit that
    holds what the run saw, else into the files themselves."""
    return run_command("apply", facts) + _where(facts)


def candidate_command(facts: RunFacts, candidate: str, *, force: bool) -> str:
    """The command that brings in what one candidate made, whether it was taken or not."""
    insists = " --force" if force else ""
    return run_command("apply", facts, candidate) + _where(facts) + insists


def recover_command(facts: RunFacts, task: str) -> str:
    """The command that brings kept work back."""
    return run_command("workspace restore", facts, task)


def _where(facts: RunFacts) -> str:
    branch = facts.head is not None and not facts.dirty
    return "" if branch else " --to-working-tree"


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


def _others(facts: RunFacts, contest: Contest) -> Iterator[CommandLine]:
    """What can be done with what was not taken: the next good ones, or the best of those that are
    not good enough, and work that is not in the result."""
    ranking = contest.ranking
    tips = {each.task for each in contest.attempted if each.tip is not None}
    if ranking is not None and not contest.split:
        rest = [each for each in ranking.order if each.candidate in tips]
        good = [each for each in rest if each.good and each.candidate != ranking.winner]
        for each in good[:_OTHERS_MAX]:
            command = candidate_command(facts, each.candidate, force=False)
            told = f"Take {one_line(each.candidate, 100)} instead"
            yield CommandLine("apply_other", told, command)
        if ranking.winner is None and rest:
            command = candidate_command(facts, rest[0].candidate, force=True)
            told = f"Take {one_line(rest[0].candidate, 100)} all the same"
            yield CommandLine("apply_other", told, command)
    if unmerged_of(contest):
        told = "See the work that is not in the result"
        yield CommandLine("workspace", told, run_command("workspace show", facts))


def commands_of(facts: RunFacts) -> tuple[CommandLine, ...]:
    """What can be done with this run."""
    told = [CommandLine("show", "Show it", run_command("show", facts))]
    if can_apply(facts.change):
        what = "Take the patch" if facts.contest is None else "Take it"
        told.append(CommandLine("apply", what, apply_command(facts)))
    told += [] if facts.contest is None else _others(facts, facts.contest)
    if facts.status in UNDER_WAY:
        resumed = run_command("run --resume", facts)
        told.append(CommandLine("resume", "Go on with it", resumed))
    return tuple(told)

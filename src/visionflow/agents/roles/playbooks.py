"""From a goal to a playbook, and from a playbook to a plan.

A goal is read clause by clause; the verb that leads a clause is what it asks for. It leans to
refusing: a goal that asks for something no tool can do is not met by doing something else. The
match is by words alone, so what it cannot tell it says it cannot, and whoever asked chooses.
"""

import re
from collections.abc import Iterable

import msgspec

from visionflow.agents.evidence import FOCUSES, Part
from visionflow.agents.plans import (
    Gate,
    Plan,
    PlanPhase,
    PlanTask,
    Playbook,
)
from visionflow.agents.tools.project import Project

PART_FILES_MIN = 50
"""A package with fewer Python files is reviewed together with the others."""
PARTS_MAX = 6
_WORDS: dict[str, str] = {
    "audit": "audit audits auditing assess assessment analyse analyze analysis analysing analyzing "
    "inspect inspection examine examination diagnose survey",
    "test": "test tests testing tested review reviews reviewing check checks checking lint linting "
    "verify verification validate scan scanning coverage",
    "fix": "fix fixes fixing repair tidy clean cleanup autofix mend",
    "explain": "explain explains explanation describe description summarise summarize summary "
    "research understand find locate show list tell what where which how why who",
    "make": "add adapt automate benchmark build change configure convert create debug delete "
    "deploy design develop document draft edit extend format generate implement improve install "
    "integrate invent make merge migrate modernise modernize move optimise optimize plan port "
    "publish push refactor release remove rename replace resolve rewrite scaffold ship simplify "
    "train translate update upgrade write",
}
_INTENT = {word: intent for intent, words in _WORDS.items() for word in words.split()}
_COVERS: dict[Playbook, frozenset[str]] = {
    "audit": frozenset({"audit", "test", "fix", "explain"}),
    "test": frozenset({"test"}),
    "fix": frozenset({"fix", "test"}),
    "explain": frozenset({"explain"}),
}
"""What each playbook meets; an audit does all of it, for those who ask for one."""
_FAULTS = frozenset(
    """bug bugs issue issues problem problems fault faults vulnerability vulnerabilities weakness
    weaknesses smell smells secret secrets error errors injection injections leak leaks hole holes
    insecure secure unsafe safe""".split()
)
_NOT = re.compile(r"\b(?:not|never|without|except|skip|avoid|no)\b|n't\b|n\u2019t\b", re.IGNORECASE)
"""What turns a word into its opposite, which no reading by words alone can follow."""
_FILLERS = frozenset(
    """a an the please can could would you we i us let lets want need to do run perform go just now
    also then thoroughly carefully quickly full complete whole deep quick first finally me my our
    for of this that these all and""".split()
)
_TOPICS = frozenset("security quality maintainability performance lint style architecture".split())
"""Words that say what to look at; alone they ask for a look at everything."""
_MECHANICAL = frozenset(
    """fix fixes fixing fixed repair tidy clean cleanup autofix mend lint linting linter findings
    finding warnings warning style imports import unused variables mechanical mechanically
    automatically automatic safe safely simple easy repository repo code codebase project package
    everything anything it issues issue faults fault problems problem violations ruff up what can be
    is in with by from here possible trivial small up""".split()
)
_OUTSIDE = frozenset("market competitor competitors competitive internet web online latest".split())
_BEST = re.compile(r"\bbest practices?\b|\bstate of the art\b", re.IGNORECASE)


class Choice(msgspec.Struct, frozen=True):
    """What a goal comes to. Exactly one of `playbook`, `missing` and `among` says something."""

    playbook: Playbook | None
    why: str
    """One sentence."""
    missing: str | None = None
    """What no present backend can do, one sentence."""
    among: tuple[Playbook, ...] = ()
    """The playbooks to choose from when the goal does not tell."""


def choose(goal: str) -> Choice:
    """The playbook that meets this goal."""
    denied = _NOT.search(goal)
    if denied is not None:
        return Choice(
            None,
            f"The goal says {denied[0]!r}, and what is left out of a playbook cannot be read off a "
            "goal: leave it out of a plan (--plan-only).",
            among=tuple(_COVERS),
        )
    clauses = [words for part in _clauses(goal) if (words := re.findall(r"[a-z]+", part))]
    asked = [found for words in clauses if (found := _asked_by(words)) is not None]
    for intent, word, words in asked:
        missing = _beyond(intent, word, words, goal)
        if missing is not None:
            return Choice(None, missing, missing=missing)
    intents = {intent for intent, _, _ in asked}
    if not intents:
        return Choice(None, "The goal names none of the playbooks.", among=tuple(_COVERS))
    for playbook, covered in _COVERS.items():
        if intents <= covered and ("audit" in intents or playbook != "audit"):
            said = ", ".join(dict.fromkeys(repr(word) for _, word, _ in asked))
            return Choice(playbook, f"The goal asks to {said}, which the playbook {playbook} does.")
    told = " and to ".join(sorted(intents))
    among: tuple[Playbook, ...] = tuple(
        name for name, covered in _COVERS.items() if intents & covered
    )
    return Choice(None, f"The goal asks to {told}, and no playbook does all of it.", among=among)


def asked_of_tools(goal: str) -> tuple[str, ...]:
    """Words by which a goal asks for what tools tell, sorted: a repository that says "security"
    in its README answers none of "Audit this repository: security"."""
    if choose(goal).playbook in (None, "explain"):
        return ()
    words = set(re.findall(r"[a-z]+", goal.lower()))
    return tuple(sorted(word for word in words if word in _TOPICS or word in _INTENT))


def _clauses(goal: str) -> list[str]:
    return re.split(r"[.;:,!?\n]+|\band\b|\bthen\b|\b&\b", goal.lower())


def _asked_by(words: list[str]) -> tuple[str, str, list[str]] | None:
    """(intent, the word that says so, the clause); `None` when it asks for nothing by itself."""
    lead = next((word for word in words if word not in _FILLERS), "")
    if _INTENT.get(lead) == "explain" and _FAULTS & set(words):
        return "audit", lead, words
    if lead in _INTENT:
        return _INTENT[lead], lead, words
    for wanted in (("audit", "test", "fix", "explain"), ("make",)):
        for word in words:
            if _INTENT.get(word) in wanted:
                return _INTENT[word], word, words
    topic = next((word for word in words if word in _TOPICS), None)
    return None if topic is None else ("audit", topic, words)


def _beyond(intent: str, word: str, words: list[str], goal: str) -> str | None:
    """What is missing to do what this clause asks for."""
    if intent == "make":
        return (
            f"needs_model: the goal asks to {word!r} something, and the tools backend audits, "
            "tests, explains and makes safe mechanical fixes. Coding agents do that: `--agent`."
        )
    if intent == "fix":
        beyond = [each for each in words if each not in _MECHANICAL | _FILLERS]
        if beyond:
            return (
                f"needs_model: the goal asks to fix something about {beyond[0]!r}, and the tools "
                "backend makes safe mechanical fixes only. `--playbook fix` makes those."
            )
    if intent == "explain" and (_OUTSIDE & set(words) or _BEST.search(goal)):
        return (
            "needs_web: the goal asks for what is not in this repository, and the tools backend "
            "reads nothing else. `--playbook explain` tells what the repository has on it."
        )
    return None


def split(project: Project) -> tuple[Part, ...]:
    """The slices in which a workspace is reviewed: its large packages, and all the rest."""
    counts = {
        folder: sum(path.startswith(folder + "/") for path in project.tree.python)
        for folder in project.packages
    }
    large = sorted(
        (folder for folder, files in counts.items() if files >= PART_FILES_MIN),
        key=lambda folder: (-counts[folder], folder),
    )[: PARTS_MAX - 1]
    if not large or (len(large) == 1 and counts[large[0]] == len(project.tree.python)):
        return (Part("all"),)
    own = tuple(Part(folder, (folder,)) for folder in sorted(large))
    return (*own, Part("rest", besides=tuple(sorted(large))))


def plan_of(
    goal: str, playbook: Playbook, why: str, parts: Iterable[Part], *, sequential: bool = False
) -> Plan:
    """The plan of a playbook over these parts; `sequential`: one task after the other."""
    slices = tuple(parts)
    phases = [
        phase
        if not sequential
        else PlanPhase(phase.name, phase.tasks, sequential=len(phase.tasks) > 1)
        for phase in _phases(playbook, slices)
    ]
    return Plan(goal, playbook, why, _GATES[playbook], slices, tuple(phases))


_GATES: dict[Playbook, tuple[Gate, ...]] = {
    "audit": ("tests", "syntax", "findings", "secrets", "patch"),
    "test": ("tests", "syntax", "findings"),
    "fix": ("tests", "syntax", "findings", "patch"),
    "explain": (),
}
_TESTS = PlanTask("run_tests", "tester", "run_tests", "tests", timeout_s=1_800)
_RESEARCH = PlanTask("research", "researcher", "research", "research", timeout_s=900)
_ARCHITECTURE = PlanTask(
    "architecture", "architect", "analyse_architecture", "architecture", timeout_s=900
)


def _phases(playbook: Playbook, parts: tuple[Part, ...]) -> list[PlanPhase]:
    survey = PlanTask("survey", "coordinator", "survey", "survey", timeout_s=1_200)
    reviews = _reviews(parts)
    examined: dict[Playbook, tuple[PlanTask, ...]] = {
        "audit": (*reviews, _ARCHITECTURE, _RESEARCH, _TESTS),
        "test": (*reviews, _TESTS),
        "fix": (*reviews, _TESTS),
        "explain": (_RESEARCH, _ARCHITECTURE),
    }
    phases = [PlanPhase("survey", (survey,)), PlanPhase("examine", examined[playbook])]
    if playbook in ("audit", "fix"):
        fix = PlanTask("fix", "coder", "fix", "fixes", timeout_s=2_700)
        votes = tuple(
            PlanTask(f"vote-{focus}", "reviewer", "vote", f"vote: {focus}", focus, timeout_s=1_800)
            for focus in FOCUSES
        )
        phases += [PlanPhase("improve", (fix,)), PlanPhase("vote", votes, uses=("examine",))]
    merge = PlanTask("merge", "coordinator", "merge", "verdict", timeout_s=300)
    before = tuple(phase.name for phase in phases[:-1])
    return [*phases, PlanPhase("conclude", (merge,), uses=before)]


def _reviews(parts: tuple[Part, ...]) -> tuple[PlanTask, ...]:
    alone = len(parts) == 1
    return tuple(
        PlanTask(
            f"review-{focus}" if alone else f"review-{focus}-{number}",
            "reviewer",
            "review_code",
            f"review: {focus}" if alone else f"review: {focus} of {part.name}",
            focus,
            None if alone else part.name,
            timeout_s=1_200,
        )
        for number, part in enumerate(parts, 1)
        for focus in FOCUSES
    )

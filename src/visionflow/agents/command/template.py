"""Templates: from a command line as somebody wrote it to the words that are run.

`{goal}`, `{workspace}` and `{context}` are replaced inside words, never through a shell. What a
profile needs for running without a person, and for output that can be read, is added where the
user did not say otherwise. A goal never turns into an option or a command of the tool.
"""

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec

from visionflow.agents.command.profiles import CLAUDE, PROFILES, SCRIPT, Profile, profile_of
from visionflow.agents.command.roles import Role
from visionflow.agents.tools.text import one_line
from visionflow.domain.errors import UsageError

GOAL = "{goal}"
_PLACES = re.compile(r"\{(goal|workspace|context)\}")
WORD_BYTES_MAX = 120_000
"""Linux takes no word of a command line above 128 KiB."""
RESUMED = (
    "You were interrupted. Look at how far the files in this folder are, and finish the task: "
)


class Template(msgspec.Struct, frozen=True):
    """A command line of an agent, understood."""

    given: str
    words: tuple[str, ...]
    """The first one is the program."""
    profile: Profile
    role: Role | None = None


def template_of(given: str, roles: Mapping[str, Role] = {}) -> Template:
    """Understand a command line: `claude -p {goal}`; the name of a profile: `codex`; or a role of
    Claude Code: `reviewer`, `@reviewer`.

    Raises:
        UsageError: it is empty, its quotes do not close, the goal would choose the program, or
            no such role is known.
        ConfigError: the file of that role has a fault.
    """
    try:
        words = tuple(shlex.split(given))
    except ValueError as error:
        raise UsageError(
            f"The agent {given!r} is no command line: {error}.", hint="Close its quotes."
        ) from error
    if not words:
        raise UsageError(
            "An agent needs a command line.", hint="Such as: --agent 'claude -p {goal}'."
        )
    if len(words) == 1 and (role := _role(words[0], roles)) is not None:
        return Template(given, tuple(shlex.split(CLAUDE.words)), CLAUDE, role.check())
    if len(words) == 1 and words[0] in PROFILES:
        if words[0] == SCRIPT.name:
            raise UsageError(
                "`script` stands for any program, so it needs to be told which.",
                hint="Such as: --agent './agent.sh {goal}'.",
            )
        profile = PROFILES[words[0]]
        return Template(given, tuple(shlex.split(profile.words)), profile)
    if GOAL in words[0] or "{context}" in words[0]:
        raise UsageError(
            f"In the agent {given!r} the goal would choose which program is run.",
            hint="Begin it with the program: --agent 'claude -p {goal}'.",
        )
    return Template(given, words, profile_of(words[0]))


def _role(word: str, roles: Mapping[str, Role]) -> Role | None:
    if not word.startswith("@"):
        return roles.get(word) if word not in PROFILES else None
    name = word[1:]
    if name in roles:
        return roles[name]
    near = get_close_matches(name, roles, 1)
    known = f" Did you mean @{near[0]}?" if near else f" Known: {', '.join(sorted(roles))}."
    raise UsageError(
        f"There is no role {name!r}." + (known if roles else ""),
        hint="Roles are files in .claude/agents of the workspace or of your home.",
    )


def missing_program(t: Template, cwd: Path, path: str | None = None) -> str | None:
    """Why its program cannot be run, in one sentence, or `None` where it is there. `cwd`: where
    it would be started; `path`: where to look instead of PATH."""
    program = t.words[0]
    if "{workspace}" in program:
        program = program.replace("{workspace}", str(cwd))
    if "/" in program:
        place = cwd / program
        if not place.exists():
            return f"There is no program {one_line(program)}."
        runs = place.is_file() and os.access(place, os.X_OK)
        return None if runs else f"{one_line(program)} is no program that can be executed."
    if shutil.which(program, path=path) is not None:
        return None
    how = f" Install it with: {t.profile.install}." if t.profile.install else ""
    return f"There is no program {one_line(program)} in PATH.{how}"


def argv_of(
    t: Template, *, goal: str, workspace: str, context: str, session: str | None
) -> tuple[str, ...]:
    """The words to run, the program first.

    `workspace`: the folder that the agent works in. `context`: what it should know beside the
    goal; appended to it where the template has no place for it. `session`: the tool's own name of
    a conversation to go on with, where its profile `resumes`.

    Raises:
        UsageError: the goal is too long for a command line.
    """
    words = t.words if any(GOAL in word for word in t.words) else (*t.words, GOAL)
    asked = _asked(t, words, goal, context, session)
    at = next(n for n, word in enumerate(words) if GOAL in word)
    values = {"goal": asked, "workspace": workspace, "context": context.replace("\0", "")}
    filled = tuple(_filled(word, values, t.profile) for word in words)
    with_session = session if t.profile.resumes else None
    build = _BUILD.get(t.profile.name)
    made = filled if build is None else build(filled, at, with_session, t.role)
    _check_length(made)
    return made


def _asked(
    t: Template, words: tuple[str, ...], goal: str, context: str, session: str | None
) -> str:
    """What takes the place of `{goal}`."""
    asked = goal.replace("\0", "")
    if session is not None and t.profile.resumes:
        asked = RESUMED + asked
    if context and not any("{context}" in word for word in words):
        room = WORD_BYTES_MAX - len(asked.encode()) - max(len(word.encode()) for word in words) - 2
        kept = context.replace("\0", "").encode()[: max(room, 0)].decode("utf-8", "ignore")
        asked += "\n\n" + kept
    return asked


def _filled(word: str, values: Mapping[str, str], profile: Profile) -> str:
    # In one go: a goal that holds `{workspace}` is left as it is.
    made = _PLACES.sub(lambda found: values[found[1]], word)
    if not word.startswith((GOAL, "{context}")):
        return made
    # It would be taken for an option, or, as one word, for a command of the tool.
    lone = word == GOAL and profile is not SCRIPT and not any(c.isspace() for c in made)
    return " " + made if made.startswith("-") or lone else made


def _check_length(words: tuple[str, ...]) -> None:
    if any(len(word.encode()) > WORD_BYTES_MAX for word in words):
        raise UsageError(
            f"The goal is longer than the {WORD_BYTES_MAX} bytes that a command line takes.",
            hint="Put the details into a file of the workspace and name it in the goal.",
        )


def _has(words: tuple[str, ...], *options: str) -> bool:
    return any(
        word in options or any(word.startswith(f"{o}=") for o in options if o.startswith("--"))
        for word in words
    )


def _claude(
    words: tuple[str, ...], at: int, session: str | None, role: Role | None
) -> tuple[str, ...]:
    """Claude Code: `-p`, its stream of JSON, no question for a permission."""
    options = words[1:at] + words[at + 1 :]
    added: list[str] = []
    if not _has(options, "-p", "--print"):
        added.append("-p")
    if not _has(options, "--output-format"):
        added += ["--output-format", "stream-json"]
    if not _has(options, "--verbose"):
        added.append("--verbose")
    if not _has(
        options, "--permission-mode", "--dangerously-skip-permissions", "--permission-prompt-tool"
    ):
        added += ["--permission-mode", "bypassPermissions"]
    if role is not None:
        added += ["--agents", _agents(role), "--agent", role.name]
    if session is not None and not _has(options, "--resume", "-r", "--continue", "-c"):
        added += ["--resume", session]
    return (words[0], *added, *words[1:])


def _agents(role: Role) -> str:
    told: dict[str, object] = {"description": role.description, "prompt": role.prompt}
    if role.tools is not None:
        told["tools"] = list(role.tools)
    if role.model is not None:
        told["model"] = role.model
    return json.dumps({role.name: told}, ensure_ascii=False)


def _codex(
    words: tuple[str, ...], at: int, session: str | None, role: Role | None
) -> tuple[str, ...]:
    """Codex: `exec`, JSON lines, its own sandbox off because ours holds it."""
    before, asked, after = words[1:at], words[at], words[at + 1 :]
    options = before + after
    verb = next((n for n, word in enumerate(before) if word in ("exec", "e")), None)
    # Options that stand before the verb are for it as well.
    ahead = () if verb is None else before[:verb]
    rest = before if verb is None else before[verb + 1 :]
    added: list[str] = []
    if not _has(options, "--json", "--experimental-json"):
        added.append("--json")
    if not _has(options, "--skip-git-repo-check"):
        added.append("--skip-git-repo-check")
    if not _has(
        options, "--dangerously-bypass-approvals-and-sandbox", "--yolo", "-s", "--sandbox",
        "--full-auto", "--approve-for-me",
    ):  # fmt: skip
        added.append("--dangerously-bypass-approvals-and-sandbox")
    added += ["-c", "check_for_update_on_startup=false"]
    resumed = () if session is None else ("resume", session)
    return (words[0], *ahead, "exec", *added, *rest, *resumed, asked, *after)


def _gemini(
    words: tuple[str, ...], at: int, session: str | None, role: Role | None
) -> tuple[str, ...]:
    """Gemini CLI: `-p`, its stream of JSON, every action accepted, the folder trusted."""
    options = words[1:at] + words[at + 1 :]
    added: list[str] = []
    if not _has(options, "-o", "--output-format"):
        added += ["--output-format", "stream-json"]
    if not _has(options, "-y", "--yolo", "--approval-mode"):
        added += ["--approval-mode", "yolo"]
    if not _has(options, "--skip-trust"):
        added.append("--skip-trust")
    if session is not None and not _has(options, "-r", "--resume"):
        added += ["--resume", session]
    prompted = words[at - 1] in ("-p", "--prompt") or words[at].startswith(("-p", "--prompt="))
    asked = () if prompted else ("-p",)
    return (words[0], *added, *words[1:at], *asked, *words[at:])


def _aider(
    words: tuple[str, ...], at: int, session: str | None, role: Role | None
) -> tuple[str, ...]:
    """aider: one message, yes to everything, no commits (ours holds all that it left)."""
    options = words[1:at] + words[at + 1 :]
    added: list[str] = []
    for flag, others in _AIDER:
        if not _has(options, flag, *others):
            added.append(flag)
    prompted = words[at - 1] in _MESSAGE or words[at].startswith(tuple(f"{m}=" for m in _MESSAGE))
    asked = () if prompted else ("--message",)
    return (words[0], *added, *words[1:at], *asked, *words[at:])


_MESSAGE = ("--message", "--msg", "-m")
_AIDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("--yes-always", ("--yes",)),
    ("--no-auto-commits", ("--auto-commits",)),
    ("--no-dirty-commits", ("--dirty-commits",)),
    ("--no-pretty", ("--pretty",)),
    ("--no-stream", ("--stream",)),
    ("--no-restore-chat-history", ("--restore-chat-history",)),
    ("--no-check-update", ("--check-update",)),
    ("--no-show-release-notes", ("--show-release-notes",)),
    ("--no-analytics", ("--analytics",)),
    ("--no-gitignore", ("--gitignore",)),
    ("--no-detect-urls", ("--detect-urls",)),
    ("--no-fancy-input", ("--fancy-input",)),
    ("--no-suggest-shell-commands", ("--suggest-shell-commands",)),
    ("--no-show-model-warnings", ("--show-model-warnings",)),
)
_BUILD = {"claude": _claude, "codex": _codex, "gemini": _gemini, "aider": _aider}

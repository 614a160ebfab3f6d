"""Ready goals: prompts that an assistant offers to its user. Each says which tools to call.

A text that the user gives is put in as it is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from visionflow.domain.swarms import Topology

_FOLLOW = (
    " Then wait with task_results (wait: true) and tell me the verdict, the most important "
    "findings with file and line, what was not looked at, and where the report is (report.md and "
    "the rest are resources of the run). If the task is blocked or queued, say what it waits for. "
    "Report only what the tools returned; null means unknown."
)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An argument of a prompt."""

    name: str
    description: str
    required: bool = False
    values: tuple[str, ...] = ()
    """Words to choose from; empty: any text."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A ready goal."""

    name: str
    title: str
    description: str
    asks: tuple[Ask, ...]
    text: str
    """With `{argument}`; one that is not given is left out with its line."""


_WORKSPACE = Ask(
    name="workspace",
    description="A folder under one of the server's roots; without it the first root.",
)
_IN = "\nWorkspace: {workspace}"
PROMPTS: tuple[Prompt, ...] = (
    Prompt(
        name="audit",
        title="Audit a repository",
        description="Security, quality, tests and architecture of a repository, with evidence.",
        asks=(_WORKSPACE, Ask(name="emphasis", description="What matters most to you.")),
        text='Call task_orchestrate with playbook "audit" and the task "Audit this repository: '
        "security, quality, tests\" to have VisionFlow's agents audit it." + _FOLLOW + _IN + "\n"
        "Emphasis: {emphasis}",
    ),
    Prompt(
        name="review_and_test",
        title="Review and test",
        description="Run the tests with coverage and flaky detection, and review the code.",
        asks=(_WORKSPACE,),
        text='Call task_orchestrate with playbook "test" and the task "Review and test this '
        'repository".' + _FOLLOW + _IN,
    ),
    Prompt(
        name="fix_safely",
        title="Fix what can be fixed safely",
        description="Mechanical fixes, gated by tests and a vote; nothing is applied by itself.",
        asks=(_WORKSPACE,),
        text='Call task_orchestrate with playbook "fix" and the task "Fix lint findings safely".'
        + _FOLLOW
        + " Show me the patch (changes.patch) before anything is applied."
        + _IN,
    ),
    Prompt(
        name="explain",
        title="Explain code",
        description="Answers from the repository with citations of file and line.",
        asks=(
            Ask(name="question", description="What you want to know.", required=True),
            _WORKSPACE,
        ),
        text='Call task_orchestrate with playbook "explain" and the question below as the task, '
        "word for word." + _FOLLOW + _IN + "\nQuestion: {question}",
    ),
    Prompt(
        name="spawn_team",
        title="Spawn a team",
        description="A swarm with one agent of each role that you need.",
        asks=(
            Ask(
                name="roles",
                description="Separated by commas; without it the six that ship.",
            ),
            Ask(
                name="topology",
                description="How the swarm is built.",
                values=tuple(Topology),
            ),
        ),
        text="Call swarm_init, then agents_spawn_parallel with one agent for each role (without a "
        "list of roles: coordinator, researcher, coder, architect, tester, reviewer). Pass on "
        "the warnings word for word, then show me swarm_status.\nTopology: {topology}\n"
        "Roles: {roles}",
    ),
    Prompt(
        name="whats_going_on",
        title="What is going on",
        description="The state of the swarms, what waits and why, and what failed lately.",
        asks=(Ask(name="swarm", description="Its id; without it the latest."),),
        text="Call swarm_status, task_list and performance_report and tell me in a few lines what "
        "runs, what waits and for what, and what failed lately and why.\nSwarm: {swarm}",
    ),
)


class Prompts:
    """All of them by name."""

    def __init__(self) -> None:
        self._known = {prompt.name: prompt for prompt in PROMPTS}

    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """As `prompts/list` has them."""
        return [(prompt.name, _entry(prompt)) for prompt in PROMPTS]

    def get(self, name: str, given: Mapping[str, str]) -> dict[str, Any] | None:
        """A prompt filled in; `None` when there is none of this name.

        Raises:
            MCPError: an argument is unknown or missing.
        """
        prompt = self._known.get(name)
        if prompt is None:
            return None
        names = [ask.name for ask in prompt.asks]
        unknown = [each for each in given if each not in names]
        missing = [ask.name for ask in prompt.asks if ask.required and not given.get(ask.name)]
        if unknown or missing:
            what = f"{unknown[0]!r} is no argument" if unknown else f"{missing[0]!r} is missing"
            raise MCPError(
                INVALID_PARAMS, f"{name}: {what}. Arguments: {', '.join(names)}.", {"code": "usage"}
            )
        return {
            "description": prompt.description,
            "messages": [
                {"role": "user", "content": {"type": "text", "text": _fill(prompt, given)}}
            ],
        }

    def complete(self, name: str, argument: str, begun: str) -> list[str] | None:
        """Words that an argument may have and that begin so; `None` for no prompt of ours."""
        prompt = self._known.get(name)
        if prompt is None:
            return None
        asks = [ask for ask in prompt.asks if ask.name == argument]
        return [word for ask in asks for word in ask.values if word.startswith(begun)]


def _entry(prompt: Prompt) -> dict[str, Any]:
    return {
        "name": prompt.name,
        "title": prompt.title,
        "description": prompt.description,
        "arguments": [
            {"name": ask.name, "description": ask.description, "required": ask.required}
            for ask in prompt.asks
        ],
    }


def _fill(prompt: Prompt, given: Mapping[str, str]) -> str:
    """One pass over the template's own lines, so that nothing in a value is taken for a place."""
    lines: list[str] = []
    for line in prompt.text.split("\n"):
        label, mark, rest = line.rpartition(": {")
        name = rest.removesuffix("}")
        if not mark or not rest.endswith("}"):
            lines.append(line)
        elif given.get(name):
            lines.append(f"{label}: {given[name]}")
    return "\n".join(lines)

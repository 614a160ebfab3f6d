"""From a command line as somebody wrote it to the words that are run."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.command.profiles import PROFILES, profile_of
from visionflow.agents.command.roles import Role
from visionflow.agents.command.template import (
    WORD_BYTES_MAX,
    argv_of,
    missing_program,
    template_of,
)
from visionflow.domain.errors import ConfigError, UsageError

GOAL = "Add a limit to logins"
REVIEWER = Role("reviewer", "reviewer.md", "Looks at changes", "You review.", ("Read",), "opus")


def words(
    given_words: str, goal: str = GOAL, context: str = "", session: str | None = None
) -> tuple[str, ...]:
    template = template_of(given_words, {"reviewer": REVIEWER})
    return argv_of(template, goal=goal, workspace="/w", context=context, session=session)


def test_places_are_filled_within_words_and_nothing_is_read_by_a_shell() -> None:
    made = words(
        "./agent --in={workspace} --task 'do: {goal}' {context}", "a; rm $HOME", "the rest"
    )
    assert made == ("./agent", "--in=/w", "--task", "do: a; rm $HOME", "the rest")


def test_a_goal_without_a_place_is_the_last_word() -> None:
    assert words("./agent --fast") == ("./agent", "--fast", GOAL)


def test_what_a_goal_holds_is_not_filled_once_more() -> None:
    assert words("./agent {goal}", "what is {workspace}?") == ("./agent", "what is {workspace}?")


def test_braces_that_are_no_place_are_left_alone() -> None:
    assert words("awk '{print}' {goal}")[1] == "{print}"


def test_context_without_a_place_follows_the_goal() -> None:
    assert words("./agent {goal}", context="ours and theirs")[1] == f"{GOAL}\n\nours and theirs"


def test_context_is_never_an_option() -> None:
    assert words("./agent {goal} {context}", context="--delete")[2] == " --delete"
    assert words("./agent --in={context} {goal}", context="--delete")[1] == "--in=--delete"


def test_context_is_cut_where_a_command_line_would_not_take_it() -> None:
    made = words("./agent {goal}", context="ä" * WORD_BYTES_MAX)
    assert made[1].startswith(GOAL) and len(made[1].encode()) <= WORD_BYTES_MAX


def test_a_goal_that_no_command_line_takes_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="into a file"):
        words("./agent {goal}", "x" * (WORD_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "needs a command line"),
        ("claude -p 'oops", "no command line"),
        ("{goal}", "choose which program"),
        ("'{context}' {goal}", "choose which program"),
        ("script", "needs to be told which"),
        ("@reviever", "Did you mean @reviewer"),
    ],
)
def test_what_is_no_agent_is_refused(written: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        template_of(written, {"reviewer": REVIEWER})


def test_the_name_of_a_profile_stands_for_its_command_line() -> None:
    for name, profile in PROFILES.items():
        if name != "script":
            assert template_of(name).profile is profile
            assert template_of(name).words == tuple(shlex.split(profile.words))


@pytest.mark.parametrize(
    ("program", "name"),
    [("claude", "claude"), ("/opt/bin/codex", "codex"), ("claude-x", "script"), ("sh", "script")],
)
def test_a_profile_is_known_by_its_program(program: str, name: str) -> None:
    assert profile_of(program).name == name


def test_claude_gets_what_it_needs_unless_it_was_said_otherwise() -> None:
    made = words("claude -p {goal}")
    assert made[-2:] == ("-p", GOAL) and "--verbose" in made
    assert ("--output-format", "stream-json") == made[1:3]
    assert "bypassPermissions" in made
    own = words("claude --permission-mode=plan --output-format json {goal} --verbose")
    assert "bypassPermissions" not in own and "stream-json" not in own
    assert own.count("--verbose") == 1 and own[1] == "-p"


def test_claude_goes_on_with_a_session() -> None:
    made = words("claude -p {goal}", session="s-1")
    assert made[made.index("--resume") + 1] == "s-1"
    assert made[-1].startswith("You were interrupted.") and made[-1].endswith(GOAL)


def test_codex_is_run_with_exec_and_without_a_sandbox_of_its_own() -> None:
    for written in ("codex {goal}", "codex exec {goal}", "codex exec"):
        made = words(written)
        assert made[:3] == ("codex", "exec", "--json") and made[-1] == GOAL
        assert "--dangerously-bypass-approvals-and-sandbox" in made
    own = words("codex exec --json -s read-only {goal}")
    assert own.count("--json") == 1
    assert "--dangerously-bypass-approvals-and-sandbox" not in own


def test_codex_goes_on_with_a_session_right_before_what_it_is_told() -> None:
    made = words("codex exec -m o3 {goal} -c a=b", session="t-1")
    assert made[-5:-3] == ("resume", "t-1") and made[-2:] == ("-c", "a=b")
    assert made.index("o3") < made.index("resume")


def test_gemini_and_aider_get_their_flags_once() -> None:
    gemini = words("gemini {goal}", session="g-1")
    assert gemini[-2] == "-p" and gemini.count("-p") == 1 and "yolo" in gemini
    assert gemini[gemini.index("--resume") + 1] == "g-1"
    assert words("gemini -p {goal} --yolo").count("--approval-mode") == 0
    aider = words("aider --auto-commits {goal}", session="none of its own")
    assert aider[-2:] == ("--message", GOAL)
    assert "--no-auto-commits" not in aider and "--yes-always" in aider
    assert words("aider --message={goal}")[-1] == f"--message={GOAL}"


@pytest.mark.parametrize("written", ["reviewer", "@reviewer"])
def test_a_role_is_claude_code_with_its_prompt_tools_and_model(written: str) -> None:
    made = words(written)
    assert made[0] == "claude" and made[made.index("--agent") + 1] == "reviewer"
    told = made[made.index("--agents") + 1]
    assert '"prompt": "You review."' in told and '"tools": ["Read"]' in told
    assert '"model": "opus"' in told


def test_a_role_with_a_fault_is_refused_once_it_is_named() -> None:
    broken = Role("broken", "b.md", fault="b.md:3: This is not YAML.")
    assert template_of("claude", {"broken": broken}).role is None
    with pytest.raises(ConfigError, match=r"b\.md:3"):
        template_of("@broken", {"broken": broken})


def test_a_name_that_is_a_profile_and_a_role_is_the_profile_without_an_at() -> None:
    own = {"claude": Role("claude", "c.md", prompt="You are me.")}
    assert template_of("claude", own).role is None
    assert template_of("@claude", own).role is own["claude"]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    st.sampled_from(["claude -p {goal}", "codex", "gemini", "aider", "./any {goal}", "./any"]),
    st.sampled_from([None, "session-1"]),
)
def test_a_goal_is_one_word_that_is_never_an_option(
    goal: str, written: str, session: str | None
) -> None:
    plain = words(written, "a b", session=session)
    made = words(written, goal, session=session)
    assert len(made) == len(plain)
    changed = [(one, other) for one, other in zip(plain, made, strict=True) if one != other]
    assert len(changed) <= 1
    for _, word in changed:
        assert not word.startswith("-") and "\0" not in word
        assert word.endswith(goal.replace("\0", ""))


def test_a_missing_program_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    assert missing_program(template_of("sh -c x"), tmp_path) is None
    told = missing_program(template_of("claude"), tmp_path, str(tmp_path))
    assert told is not None and "npm install -g @anthropic-ai/claude-code" in told
    script = tmp_path / "agent.sh"
    assert "no program" in (missing_program(template_of("./agent.sh"), tmp_path) or "")
    script.write_text("#!/bin/sh\n")
    assert "executed" in (missing_program(template_of("./agent.sh"), tmp_path) or "")
    script.chmod(0o700)
    assert missing_program(template_of("./agent.sh"), tmp_path) is None
    assert missing_program(template_of("{workspace}/agent.sh"), tmp_path) is None

"""A coding agent's program at work in the real sandbox: what becomes of everything it may do."""

import os
from pathlib import Path

import pytest
from command_work import Shop
from role_work import Attempt
from unconfined import RefusingSandbox

from tests.coding.sample import run_git
from visionflow.agents import PermanentFailure
from visionflow.agents.base import TryLater
from visionflow.agents.candidates.values import (
    Attempted,
    Integrated,
    Landed,
    Sides,
    Unmerged,
    Usage,
)
from visionflow.agents.command.agent import CommandAgent, CommandSettings
from visionflow.agents.roles.job import CodingBounds
from visionflow.agents.roles.settings import settings_of
from visionflow.agents.storing import storable
from visionflow.compose.local_asking import LocalAsking

pytestmark = pytest.mark.acceptance("coding-agents")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def in_private(shop: Shop, *words: str) -> str:
    return run_git(shop.repository / "repository.git", *words)


def test_what_it_changed_is_one_commit_on_its_base_kept_by_a_ref(shop: Shop) -> None:
    done = shop.attempted("report:10:5:77,say:hello,good,commits:mine")
    assert (done.outcome, done.reason, done.exit_code) == ("changed", None, 0)
    assert (done.files, done.insertions, done.deletions) == (("shop/limits.py",), 5, 0)
    assert done.tip is not None
    assert done.ref is not None
    assert in_private(shop, "rev-parse", done.ref) == done.tip
    assert in_private(shop, "rev-parse", f"{done.tip}^") == done.base
    body = in_private(shop, "log", "-1", "--format=%B", done.tip)
    assert "VisionFlow-Run: r1" in body
    assert "VisionFlow-Task: candidate-1" in body
    assert "mine" in body
    assert done.commits == 1
    assert done.usage == Usage(10, 5, 77)
    assert done.goes == ("started",)
    assert done.summary == "hello"
    assert done.profile == "script"
    assert (shop.run / str(done.log)).read_text().endswith("hello\n")


def test_the_users_workspace_is_as_it_was(shop: Shop) -> None:
    before = run_git(shop.workspace, "status", "--porcelain=v2", "--branch")
    shop.attempted("good,commits,writes:new/file.py=x")
    assert run_git(shop.workspace, "status", "--porcelain=v2", "--branch") == before


@pytest.mark.acceptance("confine")
def test_it_writes_in_its_copy_and_nowhere_else(shop: Shop) -> None:
    target = shop.workspace / "outside.txt"
    done = shop.attempted(f"outside:{target},good")
    assert not target.exists()
    assert f"could not write {target}" in done.summary
    assert done.outcome == "changed"
    assert len(done.held) >= 3


def test_one_that_changed_nothing_says_so_with_its_last_words(shop: Shop) -> None:
    done = shop.attempted("say:there-is-nothing-to-do")
    assert (done.outcome, done.tip, done.ref) == ("nothing_changed", None, None)
    assert done.reason is not None
    assert "there-is-nothing-to-do" in done.reason


def test_one_that_failed_keeps_what_it_did(shop: Shop) -> None:
    done = shop.attempted("good,fails:3")
    assert (done.outcome, done.exit_code) == ("failed", 3)
    assert done.reason is not None
    assert "ended with 3" in done.reason
    assert "it did not work out" in done.reason
    assert done.tip is not None
    assert done.files == ("shop/limits.py",)


@pytest.mark.parametrize(
    ("action", "rule"),
    [("foreign:main", "foreign_branch"), ("head", "foreign_head"), ("tag", "foreign_tag"),
     ("stash", "stash"), ("deletes:.git/HEAD", "git_broken")],
)  # fmt: skip
def test_one_that_went_beyond_its_own_is_named_for_it(shop: Shop, action: str, rule: str) -> None:
    done = shop.attempted(f"good,{action}")
    assert done.outcome == "violation"
    assert rule in {each.rule for each in done.violations}
    assert done.reason is not None
    assert done.violations[0].message in done.reason


@pytest.mark.acceptance("confine")
def test_one_that_hangs_is_ended_with_all_its_processes_and_its_work_is_kept(shop: Shop) -> None:
    task = shop.task(bounds=CodingBounds(wall_ms=4_000))
    done = shop.attempted("good,forks,hangs", task)
    assert (done.outcome, done.exit_code) == ("timed_out", None)
    assert done.reason is not None
    assert "its time limit" in done.reason
    assert done.tip is not None
    assert _alive_with(str(shop.folder)) == []


def test_its_own_timeout_holds_too(shop: Shop) -> None:
    done = shop.attempted("hangs", timeout=2.5)
    assert done.outcome == "timed_out"
    assert done.wall_ms is not None
    assert done.wall_ms < 60_000


@pytest.mark.acceptance("confine")
def test_one_that_eats_memory_is_ended_for_it(shop: Shop) -> None:
    done = shop.attempted("good,hogs", memory="200M")
    assert done.outcome == "out_of_memory"
    assert done.memory_peak_bytes is not None
    assert done.tip is not None


def test_one_that_floods_is_ended_and_its_log_is_bounded(shop: Shop) -> None:
    task = shop.task(bounds=CodingBounds(wall_ms=120_000, output_bytes=300_000))
    done = shop.attempted("good,floods", task)
    assert done.outcome == "flooded"
    assert done.output_bytes == 300_000
    log = shop.folder / "candidate-1" / "output.log"
    assert 290_000 < log.stat().st_size < 310_000
    assert log.stat().st_mode & 0o777 == 0o600


def test_processes_that_it_left_behind_are_gone(shop: Shop) -> None:
    assert shop.attempted("good,forks").outcome == "changed"
    assert _alive_with(str(shop.folder)) == []


def test_a_key_that_is_refused_fails_the_task_in_the_providers_own_words(shop: Shop) -> None:
    with pytest.raises(PermanentFailure, match="401 invalid x-api-key") as caught:
        shop.attempted("good,refuses:600")
    assert "refs/visionflow/kept/" in str(caught.value)
    assert not (shop.folder / "candidate-1" / "home").exists()


@pytest.mark.acceptance("circuit")
def test_a_tool_that_is_refused_five_times_in_a_row_is_not_started_for_a_while(shop: Shop) -> None:
    asking = LocalAsking()

    def attempted(name: str) -> Attempted:
        attempt = Attempt()
        attempt.asking = asking
        return shop.attempted("refuses:600", shop.task(name), attempt=attempt)

    for number in range(5):
        with pytest.raises(PermanentFailure, match="401 invalid x-api-key"):
            attempted(f"c{number}")
    with pytest.raises(PermanentFailure, match=r"was not started: Circuit tool:\S+ is open"):
        attempted("c5")
    assert not (shop.folder / "c5" / "home").exists()


def test_asked_for_patience_it_comes_back_later_and_then_goes_on(shop: Shop) -> None:
    with pytest.raises(TryLater, match="429") as caught:
        shop.attempted("throttled:1:1,good")
    assert caught.value.wait_ms == 1_000
    done = shop.attempted("throttled:1:1,good", shop.task(attempt=2))
    assert done.outcome == "changed"
    assert done.goes == ("started", "started_again")


def test_where_nothing_confines_it_is_not_run(shop: Shop) -> None:
    with pytest.raises(PermanentFailure, match="confine"):
        shop.attempted("good", sandbox=RefusingSandbox())


def test_a_program_that_is_not_there_is_a_failure_with_what_to_do(shop: Shop) -> None:
    with pytest.raises(PermanentFailure, match="no program no-such-tool"):
        shop.attempted("no-such-tool {goal}")


@pytest.mark.parametrize("config", [{"command": None}, {"profile": "claude"}])
def test_it_needs_a_command_or_a_profile_and_not_both(
    shop: Shop, config: dict[str, object]
) -> None:
    with pytest.raises(PermanentFailure, match="either a command or a profile"):
        shop.attempted("good", **config)


@pytest.mark.acceptance("confine")
def test_it_reads_what_its_settings_name_and_never_a_whole_home(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("to be read")
    command = f"/bin/sh -c 'cat {tmp_path}/notes/*; cat {shop.workspace}/README.md' {{goal}}"
    done = shop.attempted(command, read=[str(tmp_path / "notes")])
    assert "to be read" in (shop.run / str(done.log)).read_text()
    assert "# shop" not in (shop.run / str(done.log)).read_text()
    for wrong in ("~", "/", "notes"):
        with pytest.raises(PermanentFailure, match="may not be let read"):
            shop.attempted("good", shop.task("candidate-2"), read=[wrong])


def test_its_settings_are_typed(shop: Shop) -> None:
    assert settings_of(CommandAgent) is CommandSettings
    assert set(CommandSettings.EFFECTS) == set(CommandSettings.__struct_fields__)
    with pytest.raises(PermanentFailure, match="timeout"):
        shop.attempted("good", timeout="long")
    with pytest.raises(PermanentFailure, match="is no size"):
        shop.attempted("good", memory="much")


def test_it_gets_nothing_of_our_environment_but_what_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_HOME", "/somewhere")
    monkeypatch.setenv("MY_OWN_SECRET", "s3cr3t-value-of-mine")
    monkeypatch.setenv("MY_REGION", "north-west-7")
    done = shop.attempted(
        "env:VISIONFLOW_HOME,env:MY_OWN_SECRET,env:MY_REGION,env:TERM,env:HOME",
        env=["MY_REGION", "VISIONFLOW_HOME"],
    )
    words = (shop.run / str(done.log)).read_text().splitlines()[1:]
    assert words == [
        "VISIONFLOW_HOME=None", "MY_OWN_SECRET=None", "MY_REGION=[hidden]", "TERM=dumb",
        f"HOME={shop.folder / 'candidate-1' / 'home'}",
    ]  # fmt: skip


def test_its_home_is_its_own_and_gone_in_the_end(shop: Shop) -> None:
    done = shop.attempted("files,good")
    assert "home:" in done.summary
    assert not (shop.folder / "candidate-1" / "home").exists()


def test_what_it_is_doing_is_shown_under_the_tools_name(shop: Shop) -> None:
    attempt = Attempt()
    shop.attempted("say:looking,good", attempt=attempt)
    notes = [note for _, note in attempt.notes]
    assert "making a copy of the workspace" in notes
    assert "scripted_agent.py: started" in notes


def test_two_of_a_run_do_not_see_each_other(shop: Shop) -> None:
    first = shop.attempted("writes:one.txt=1")
    second = shop.attempted("writes:two.txt=2", shop.task("candidate-2"))
    assert (first.files, second.files) == (("one.txt",), ("two.txt",))
    assert first.base == second.base
    assert (first.ref, second.ref) == (
        "refs/visionflow/kept/candidate-1", "refs/visionflow/kept/candidate-2",
    )  # fmt: skip


def test_a_file_that_git_ignores_is_no_part_of_its_work(shop: Shop) -> None:
    done = shop.attempted("writes:build/out.txt=x,good")
    assert done.files == ("shop/limits.py",)


def test_it_begins_on_what_was_merged_before(shop: Shop) -> None:
    first = shop.attempted("writes:one.txt=1")
    assert first.tip is not None
    merged = Integrated(first.base, first.tip, (Landed("candidate-1", first.tip),))
    depends = {"s:integrate": {"integrated": storable(merged)}}
    done = shop.attempted("writes:two.txt=2", shop.task("candidate-2", dependencies=depends))
    assert done.base == first.tip
    assert done.files == ("two.txt",)


def test_a_second_go_that_nobody_needs_starts_nothing(shop: Shop) -> None:
    first = shop.attempted("writes:one.txt=1")
    assert first.tip is not None
    merged = Integrated(first.base, first.tip, (Landed("api", first.tip),))
    task = shop.task("api-again", of="api", dependencies={"i": {"integrated": storable(merged)}})
    done = shop.attempted("fails", task)
    assert (done.outcome, done.base, done.goes) == ("not_needed", first.tip, ())
    assert done.reason == "api is merged already."
    assert not (shop.folder / "api-again").exists()


def test_a_second_go_gets_both_sides_of_the_conflict_and_its_own_patch(shop: Shop) -> None:
    ours = shop.attempted("writes:README.md=ours")
    theirs = shop.attempted("writes:README.md=theirs", shop.task("api"))
    assert ours.tip is not None
    sides = Sides("README.md", "ours\n", "theirs\n", "# shop\n", "content")
    missed = Unmerged("api", "conflict", "README.md was changed twice.", (sides,), theirs.ref)
    merged = Integrated(ours.base, ours.tip, (Landed("candidate-1", ours.tip),), (missed,))
    task = shop.task("api-again", of="api", dependencies={"i": {"integrated": storable(merged)}})
    done = shop.attempted("say,writes:README.md=both", task)
    assert (done.outcome, done.base) == ("changed", ours.tip)
    said = (shop.run / str(done.log)).read_text()
    assert "limit the calls" in said
    assert "README.md was changed twice." in said
    assert "As it is in the folder now:\n```\nours" in said
    assert "As the change had it:\n```\ntheirs" in said
    assert "+theirs" in said
    assert "-# shop" in said


def test_the_predicates_of_the_run_are_told_to_it(shop: Shop) -> None:
    done = shop.attempted("say", shop.task(accept=["pytest -k limit"]))
    assert "pytest -k limit" in done.summary


def test_a_folder_without_git_is_worked_on_as_well(tmp_path: Path) -> None:
    plain = tmp_path / "shop"
    plain.mkdir()
    (plain / "a.txt").write_text("a\n")
    shop = Shop(tmp_path)
    assert shop.attempted("writes:b.txt=b").files == ("b.txt",)


def test_a_script_in_the_workspace_is_run_from_the_copy(shop: Shop) -> None:
    tool = shop.workspace / "agent.sh"
    tool.write_text('#!/bin/sh\necho "$1" > asked.txt\npwd\n')
    tool.chmod(0o755)
    run_git(shop.workspace, "add", "--all")
    run_git(shop.workspace, "commit", "--quiet", "-m", "a tool")
    done = shop.attempted("./agent.sh {goal}")
    assert done.files == ("asked.txt",)
    assert done.summary.strip() == str(shop.folder / "candidate-1" / "tree")


def _alive_with(text: str) -> list[int]:
    """Processes that work in this folder or name it, ours left out."""
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            held = os.readlink(each / "cwd") + (each / "environ").read_bytes().decode("latin-1")
        except OSError:
            continue
        if text in held and int(each.name) != os.getpid():
            found.append(int(each.name))
    return found


@pytest.mark.acceptance("coding-agents", "confine")
def test_a_credential_that_it_was_given_and_wrote_into_its_work_puts_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "k3y-of-mine-0123456789")
    monkeypatch.setenv("MY_REGION", "north-west-7")
    names = ["MY_API_KEY", "MY_REGION"]
    leaking = "good,leaks:MY_API_KEY=shop/made.py,leaks:MY_REGION=shop/region.py"
    made = Shop(tmp_path).attempted(leaking, env=names)
    assert made.outcome == "violation" and made.tip is not None
    assert [each.rule for each in made.violations] == ["credential"]
    assert made.reason == "It wrote a credential that it was given into shop/made.py:1."
    other = Shop(tmp_path / "other").attempted("good,leaks:MY_REGION=shop/region.py", env=names)
    assert other.outcome == "changed"

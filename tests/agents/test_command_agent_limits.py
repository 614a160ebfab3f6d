"""What a run of coding agents may use: the ledger, and what stops before a further go."""

import os
import threading
import time
from pathlib import Path

import pytest
from command_work import Shop
from resuming_tool import write_tool

from visionflow.agents import PermanentFailure
from visionflow.agents.base import TryLater
from visionflow.agents.candidates.values import Usage
from visionflow.agents.command import ledger, underway
from visionflow.agents.command.governor import Governor, Slot
from visionflow.agents.command.ledger import Line, Spent
from visionflow.agents.roles.job import CodingBounds

pytestmark = pytest.mark.acceptance("governor")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_no_go_starts_once_the_tokens_of_the_run_are_used(shop: Shop) -> None:
    bounds = CodingBounds(wall_ms=120_000, tokens=15)
    first = shop.attempted("report:10:5,good", shop.task(bounds=bounds))
    assert first.outcome == "changed"
    with pytest.raises(PermanentFailure, match=r"used 15 of 15; not started\."):
        shop.attempted("good", shop.task("candidate-2", bounds=bounds))
    assert not (shop.folder / "candidate-2" / "output.log").exists()


def test_no_go_starts_once_the_money_of_the_run_is_used(shop: Shop) -> None:
    bounds = CodingBounds(wall_ms=120_000, cost_microdollars=1_000)
    shop.attempted("report:1:1:2500,good", shop.task(bounds=bounds))
    with pytest.raises(PermanentFailure, match=r"used \$0\.0025 of \$0\.0010; not started"):
        shop.attempted("good", shop.task("candidate-2", bounds=bounds))


def test_what_no_tool_reported_counts_nothing_and_is_told(shop: Shop) -> None:
    bounds = CodingBounds(wall_ms=120_000, tokens=1, cost_microdollars=1)
    first = shop.attempted("good", shop.task(bounds=bounds))
    assert first.usage == Usage()
    assert any("reported no tokens and no money" in note for note in first.notes)
    assert shop.attempted("good", shop.task("candidate-2", bounds=bounds)).outcome == "changed"


def test_no_go_starts_when_the_run_has_to_be_over(shop: Shop) -> None:
    now = int(time.time() * 1000)
    over = CodingBounds(wall_ms=120_000, ends_at_ms=now - 1_000)
    with pytest.raises(PermanentFailure, match="limit of the run's time reached"):
        shop.attempted("good", shop.task(bounds=over))
    # What the run's folder says is newer than what the plan said.
    shop.folder.mkdir(parents=True, exist_ok=True)
    (shop.folder / "ends_at_ms").write_text(str(now + 600_000))
    assert shop.attempted("good", shop.task(bounds=over)).outcome == "changed"


def test_a_go_is_cut_to_the_time_that_is_left_of_the_run(shop: Shop) -> None:
    ends = int(time.time() * 1000) + 6_000
    bounds = CodingBounds(wall_ms=600_000, ends_at_ms=ends)
    done = shop.attempted("good,hangs", shop.task(bounds=bounds))
    assert done.outcome == "timed_out"
    assert "the time that was left of the run" in str(done.reason)
    assert done.tip is not None


def test_a_long_wait_is_not_sat_out_with_the_tool_running(shop: Shop) -> None:
    with pytest.raises(TryLater) as caught:
        shop.attempted("throttled:1:3000,good")
    assert caught.value.wait_ms == 3_000_000


def test_a_tool_that_was_slowed_down_starts_for_nobody_before_its_time(shop: Shop) -> None:
    with pytest.raises(TryLater):
        shop.attempted("throttled:1:3000,good")
    with pytest.raises(TryLater, match="no go starts before") as caught:
        shop.attempted("good", shop.task("candidate-2"))
    assert 2_000_000 < caught.value.wait_ms <= 3_000_000
    assert not (shop.folder / "candidate-2" / "output.log").exists()


def test_a_tool_that_waits_by_itself_for_long_is_ended(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(underway, "STANDS_S", 2.0)
    tool = tmp_path / "codex"
    tool.write_text(
        '#!/bin/sh\necho \'{"type":"thread.started","thread_id":"t-1"}\'\n'
        'echo \'{"type":"error","message":"Reconnecting... 1/5 (unexpected status 429 Too '
        "Many Requests: slow down)\"}'\nexec sleep 3600\n"
    )
    tool.chmod(0o755)
    with pytest.raises(TryLater, match="429") as caught:
        shop.attempted(f"{tool} exec {{goal}}")
    assert caught.value.wait_ms == 30_000


def test_waiting_for_a_slot_is_shown_and_ends_with_it(shop: Shop) -> None:
    from role_work import Attempt

    governor = Governor(shop.governor, "script-scripted_agent.py")
    held = governor.take()
    assert isinstance(held, Slot)
    governor.slow_down(held, 0)
    for _ in range(8):
        governor.slow_down(Slot(-1, governor.pace.refusals), 0)
    assert governor.pace.limit == 1
    attempt, results = Attempt(), list[str]()
    second = threading.Thread(
        target=lambda: results.append(shop.attempted("good", attempt=attempt).outcome)
    )
    second.start()
    deadline = time.monotonic() + 60
    wanted = "waiting for scripted_agent.py: 1 of 1 at work"
    while wanted not in [note for _, note in attempt.notes] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert wanted in [note for _, note in attempt.notes]
    assert results == []
    held.close()
    second.join(120)
    assert results == ["changed"]
    assert governor.pace.limit == 2


def test_the_ledger_has_each_go_once_and_heals_a_torn_line(tmp_path: Path) -> None:
    line = Line("candidate-1", 1, "claude", Usage(10, 5, 100), 7)
    ledger.record(tmp_path, line)
    ledger.record(tmp_path, line)
    with (tmp_path / ledger.FILE).open("ab") as file:
        file.write(b'{"task":"candidate-2","go"')
    assert ledger.lines(tmp_path) == [line]
    other = Line("candidate-2", 1, "codex", Usage(3, None, None))
    ledger.record(tmp_path, other)
    assert ledger.lines(tmp_path) == [line, other]
    assert ledger.spent(ledger.lines(tmp_path)) == Spent(18, 100, 2, 0, 1)


def test_many_processes_write_one_ledger(tmp_path: Path) -> None:
    children: list[int] = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                for go in range(20):
                    ledger.record(tmp_path, Line(f"t{number}", go, "x", Usage(1, 1)))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert ledger.spent(ledger.lines(tmp_path)) == Spent(160, 0, 80, 0, 80)


def test_the_use_of_several_goes_is_summed_where_it_was_told() -> None:
    assert ledger.together([Usage(1, None, 5), Usage(2, 3)]) == Usage(3, 3, 5, None)
    assert ledger.together([]) == Usage()


def test_a_tools_credentials_are_its_own_and_never_told(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id").write_text("a private key of mine")
    token = "sk-ant-oat01-AbCdEf0123456789xyzXYZ"
    (home / ".claude" / ".credentials.json").write_text(
        f'{{"claudeAiOauth": {{"accessToken": "{token}", "scopes": ["user:inference"]}}}}'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-0123456789abcdefghij")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-0123456789abcdefghij")
    done = shop.attempted(write_tool(tmp_path / "bin", say=True))
    log = (shop.run / str(done.log)).read_text()
    assert '"accessToken": "[hidden]", "scopes": ["user:inference"]' in log
    assert "no .ssh/id" in log
    assert "[hidden] None" in log
    everything = [each for each in shop.run.rglob("*") if each.is_file()]
    for secret in (token, "sk-ant-api03-0123456789abcdefghij", "a private key"):
        assert not [each for each in everything if secret.encode() in each.read_bytes()]
    assert "network" not in " ".join(done.held)

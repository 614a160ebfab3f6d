"""`visionflow workspace`: kept work is listed, shown and got back; only what is no work goes."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agents.changed_folder import AFTER, BEFORE, expected, git, held
from tests.cli.kept_work import KeptWork
from tests.cli.terminals import OnTerminal
from visionflow.adapters.lock import acquire
from visionflow.agents.workspace.keeping import kept
from visionflow.cli import workspaces as w
from visionflow.domain.errors import Refused, StoreInUse, UnknownId, UsageError

Printed = Callable[[], Any]


@pytest.fixture
def work(tmp_path: Path) -> KeptWork:
    made = KeptWork(tmp_path)
    made.folder.mark("completed")
    return made


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return lambda: json.loads(capsys.readouterr().out)


@pytest.mark.acceptance("workspace")
def test_the_list_has_each_run_with_its_work_and_says_what_to_do_where_there_is_none(
    work: KeptWork, printed: Printed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work.copy("candidate-1")
    assert w.listed(out=work.out, json=True) == 0
    (run,) = printed()["runs"]
    in_result = {each["name"]: each["in_result"] for each in run["kept"]}
    assert in_result == {
        "candidate-1": True, "candidate-2": False, "candidate-3": False, "candidate-3.1": False,
    }  # fmt: skip
    assert run["bytes"] > run["removable_bytes"] > 50_000
    assert w.listed(out=work.out) == 0
    assert "4 kept, 1 in the result" in capsys.readouterr().out
    assert w.listed(out=tmp_path / "none") == 0
    assert "visionflow run GOAL --agent" in capsys.readouterr().out


@pytest.mark.acceptance("workspace")
def test_show_tells_of_each_piece_and_its_commands_get_it_back(
    work: KeptWork, printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert w.show(work.run, out=work.out, json=True) == 0
    shown = {each["name"]: each for each in printed()["kept"]}
    third = shown["candidate-3.1"]
    assert (third["task"], third["attempt"], third["subject"]) == (
        "candidate-3", 1, "What old did",
    )  # fmt: skip
    assert "new/deep/added.py" in third["files"]
    subprocess.run(shlex.split(third["fetch"]), cwd=work.workspace, check=True, timeout=60,
                   capture_output=True)  # fmt: skip
    assert git(work.workspace, "rev-parse", "recovered/candidate-3.1") == work.tips["old"]
    words = shlex.split(third["restore"])
    assert words[:3] == ["visionflow", "workspace", "restore"]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words[2:]], check=True, timeout=120, capture_output=True
    )
    branch = f"visionflow/{work.run}-candidate-3.1"
    assert branch in done.stdout.decode()
    assert git(work.workspace, "rev-parse", branch) == work.tips["old"]
    assert w.show(work.run, out=work.out) == 0
    text = capsys.readouterr().out
    assert "candidate-2, attempt 2: not in the result" in text
    assert "Get it back:  visionflow workspace restore" in text


_PROGRAM = """
import sys
from visionflow.cli.workspaces import workspace_app
app = workspace_app()
sys.exit(app(sys.argv[1:], result_action="return_value") or 0)
"""


@pytest.mark.acceptance("workspace")
def test_restore_writes_all_files_into_a_new_folder_and_into_no_other(
    work: KeptWork, tmp_path: Path, printed: Printed
) -> None:
    to = tmp_path / "there" / "again"
    assert w.restore(work.run, "2", out=work.out, to=to, json=True) == 0
    assert printed()["folder"] == str(to)
    wanted = {**expected(AFTER), "edited.py": (b"new = '2'\n", False)}
    assert held(to) == wanted
    with pytest.raises(Refused, match="is there already"):
        w.restore(work.run, "1", out=work.out, to=to)
    assert held(to) == wanted
    assert [each.name for each in to.parent.iterdir()] == ["again"]
    with pytest.raises(UnknownId, match=r"No kept work is called 'x'.*candidate-1, candidate-2"):
        w.restore(work.run, "x", out=work.out)
    assert held(work.workspace) == expected(BEFORE)


@pytest.mark.acceptance("workspace")
def test_prune_removes_copies_and_homes_and_keeps_every_ref_and_a_bundle(
    work: KeptWork, printed: Printed
) -> None:
    before = asyncio.run(kept(work.repository))
    tree = work.copy("candidate-1")
    refused = pytest.raises(UsageError, match=r"no terminal to ask on.*--yes")
    with refused:
        w.prune(work.run, out=work.out)
    assert tree.is_dir()
    assert w.prune(out=work.out, yes=True, json=True) == 0
    (pruned,) = printed()["pruned"]
    assert pruned["freed_bytes"] > 50_000
    assert not tree.exists()
    assert not (tree.parent / "home").exists()
    assert (tree.parent / "output.log").read_text() == "said\n"
    assert asyncio.run(kept(work.repository)) == before
    heads = git(work.workspace, "bundle", "list-heads", pruned["bundle"])
    assert set(work.tips.values()) == {line.split()[0] for line in heads.splitlines()}
    assert w.prune(work.run, out=work.out, json=True) == 0
    assert printed()["pruned"] == []


@pytest.mark.acceptance("workspace")
def test_prune_keeps_what_nobody_had_kept_yet(work: KeptWork, printed: Printed) -> None:
    tree = work.copy("candidate-9")
    (tree / "unsaved.py").write_text("unsaved = 1\n")
    assert w.prune(work.run, out=work.out, yes=True, json=True) == 0
    (pruned,) = printed()["pruned"]
    assert pruned["notes"] == ["The work of candidate-9 was not kept yet; now it is."]
    assert not tree.exists()
    w.show(work.run, out=work.out, json=True)
    shown = {each["name"]: each for each in printed()["kept"]}
    assert shown["candidate-9"]["files"] == ["unsaved.py"]


@pytest.mark.acceptance("workspace")
def test_a_run_that_is_not_over_or_that_somebody_works_on_is_never_pruned(
    work: KeptWork, printed: Printed
) -> None:
    tree = work.copy("candidate-1")
    with acquire(work.folder.state / "front.lock"), pytest.raises(StoreInUse):
        w.prune(work.run, out=work.out, yes=True)
    work.folder.mark("interrupted")
    with pytest.raises(Refused, match="is interrupted"):
        w.prune(work.run, out=work.out, yes=True)
    assert w.prune(out=work.out, yes=True, json=True) == 0
    assert printed() == {
        "pruned": [], "left": [f"The run {work.run} is interrupted; its copies are left."],
    }  # fmt: skip
    assert tree.is_dir()


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize(("answer", "code", "stays"), [(b"\n", 5, True), (b"y\n", 0, False)])
def test_prune_asks_on_a_terminal(work: KeptWork, answer: bytes, code: int, stays: bool) -> None:
    tree = work.copy("candidate-1")
    argv = [sys.executable, "-c", _PROGRAM, "prune", "--out", str(work.out)]
    with OnTerminal(argv, {"PATH": "/usr/bin:/bin"}, work.workspace) as terminal:
        terminal.until(lambda: "[y/N]" in terminal.text)
        terminal.type(answer)
        assert terminal.end() == code
    assert tree.exists() == stays

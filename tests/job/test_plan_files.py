"""plan.yaml: written, edited, run; a fault names its line; a run keeps to its plan."""

from pathlib import Path

import msgspec
import pytest
from jobs import GOAL, GOOD, carry_out, write

from visionflow.agents.evidence import Part
from visionflow.agents.plans import PlanPhase, PlanTask
from visionflow.agents.roles.playbooks import plan_of
from visionflow.compose.job import UnsureOfPlaybook, create_run, make_plan, plan_text, read_plan
from visionflow.domain.errors import ConfigError, UsageError

PLAN = plan_of(GOAL, "test", "why: it is asked for", (Part("a", ("a",)), Part("rest", (), ("a",))))


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = plan_text(PLAN, str(folder))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    found = read_plan(written(tmp_path))
    assert (found.plan, found.workspace) == (PLAN, str(tmp_path))
    assert "flowchart LR" in (tmp_path / "plan.yaml").read_text()


def test_comments_and_order_do_not_change_what_a_plan_is(tmp_path: Path) -> None:
    same = read_plan(written(tmp_path, ("goal:", "# a remark\ngoal:")))
    assert same.plan.digest == PLAN.digest
    other = read_plan(written(tmp_path, ("focus: security", "focus: performance")))
    assert other.plan.digest != PLAN.digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("playbook: test", "playbook: tset", "tset"),
        ("role: tester", "role: taster", "taster"),
        ("type: run_tests", "type: run_test", "run_test"),
        ("goal:", "gaol:", "Did you mean 'goal'"),
        ("title: tests", "tilte: tests", "tilte"),
        ("phases:", "phases: 3\nrest:", "rest"),
    ],
)
def test_a_fault_of_a_plan_is_told_with_file_and_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = written(tmp_path, (old, new))
    with pytest.raises(ConfigError, match=told) as caught:
        read_plan(path)
    assert str(path) in caught.value.message


def test_the_line_of_a_wrong_word_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, ("role: tester", "role: taster"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "taster" in text)
    with pytest.raises(ConfigError, match=f"plan.yaml:{line}:"):
        read_plan(path)


@pytest.mark.acceptance("main-job")
def test_a_run_of_an_edited_plan_does_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", GOOD)
    planned = make_plan(GOAL, workspace)
    assert planned.plan is not None
    text = plan_text(planned.plan, str(workspace))
    kept = [line for line in text.splitlines() if "review-" not in line or line.startswith("#")]
    (tmp_path / "plan.yaml").write_text("\n".join(kept))
    edited = read_plan(tmp_path / "plan.yaml").plan
    assert [task.id for _, task in edited.tasks()] == ["survey", "run_tests", "merge"]
    folder = create_run(edited.goal, workspace, tmp_path / "out", plan=edited)
    outcome = carry_out(folder)
    assert outcome.status == "completed"
    assert outcome.summary["gates"]["tests"] is True
    assert outcome.summary["findings"] is None


@pytest.mark.acceptance("main-job")
def test_a_run_whose_plan_was_changed_is_not_resumed(tmp_path: Path) -> None:
    folder = create_run(GOAL, write(tmp_path / "ws", GOOD), tmp_path / "out")
    text = folder.plan.read_text()
    folder.plan.write_text(text.replace("focus: security", "focus: performance", 1))
    with pytest.raises(ConfigError, match="digest"):
        carry_out(folder)
    folder.plan.unlink()
    assert carry_out(folder).status == "completed"
    assert folder.plan.read_text() == text


def test_a_goal_that_does_not_tell_starts_nothing(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", GOOD)
    with pytest.raises(UnsureOfPlaybook, match="--playbook audit or test") as caught:
        create_run("do something nice", workspace, tmp_path / "out")
    assert caught.value.status == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no playbook 'adit'"):
        create_run(GOAL, workspace, tmp_path / "out", playbook="adit")
    folder = create_run("do something nice", workspace, tmp_path / "out", playbook="explain")
    order = folder.read_order()
    assert order.plan is not None and order.plan.playbook == "explain"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: run_tests", "id: ../x", "no name of a task"),
        ("id: merge", "id: run_tests", "task 'run_tests' is there twice"),
        ("uses: [survey]", "uses: [nowhere]", "no earlier phase"),
        ("gates: [tests, syntax", "gates: [tests, tests, syntax", "gate 'tests' is there twice"),
        ("gates: [tests", "gates: [test", "Allowed: tests, syntax"),
        ("type: run_tests", "type: fix", "a tester cannot do 'fix'"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = written(tmp_path, (old, new))
    with pytest.raises(ConfigError, match=r"plan\.yaml:\d+: ") as caught:
        read_plan(path)
    assert told in str(caught.value)
    line = int(str(caught.value).split("plan.yaml:")[1].split(":")[0])
    text = path.read_text().splitlines()[line - 1]
    assert not text.startswith("#") and any(word in text for word in new.replace(",", " ").split())


def test_parts_are_folders_of_the_workspace(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", {"a/m.py": "x = 1\n"})
    for folder in ("nosuch", "../../etc", "/etc", "a/m.py"):
        plan = plan_of(GOAL, "test", "why", (Part("one", (folder,)),))
        with pytest.raises(ConfigError, match="no folder of"):
            create_run(GOAL, workspace, tmp_path / "out", plan=plan)
    assert not (tmp_path / "out").exists()


def test_what_an_edited_plan_leaves_out_is_told_and_passes_no_gate(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", {
        "a/m.py": "x = 1\n",
        "b/m.py": "import subprocess\n\n\ndef f(t):\n    subprocess.call(t, shell=True)\n",
    })  # fmt: skip
    planned = make_plan(GOAL, workspace)
    assert planned.plan is not None
    survey, _, conclude = planned.plan.phases
    review = PlanTask("review", "reviewer", "review_code", focus="performance", part="one")
    plan = msgspec.structs.replace(
        planned.plan,
        parts=(Part("one", ("a",)),),
        gates=("findings",),
        phases=(survey, PlanPhase("examine", (review,)), conclude),
    )
    outcome = carry_out(create_run(GOAL, workspace, tmp_path / "out", plan=plan))
    assert outcome.summary["gates"] == {"findings": None}
    unseen = {each["what"] for each in outcome.summary["not_looked_at"]}
    assert "b/m.py" in unseen
    assert "every file that a tool reads was read" not in str(outcome.summary["trust"])


def test_a_plan_of_a_place_with_a_line_break_in_its_path_is_read_back(tmp_path: Path) -> None:
    place = tmp_path / 'odd\nplace "q"'
    place.mkdir()
    path = place / "plan.yaml"
    path.write_text(plan_text(PLAN, str(place), str(path)))
    found = read_plan(path)
    assert (found.plan, found.workspace) == (PLAN, str(place))

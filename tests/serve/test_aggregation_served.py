"""Results of parallel work through task_orchestrate, as one, with what each part said."""

from pathlib import Path
from typing import Any

import pytest
from desks import Desk, workspace_in
from served import settings_in, with_core

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UsageError


def settings(folder: Path) -> Any:
    code = (Path(__file__).parent / "measuring_agents.py").read_text()
    (folder / "measuring_agents.py").write_text(code)
    text = "agent_templates:\n  sayer:\n    class: measuring_agents.py:Sayer\n"
    (folder / "agents.yaml").write_text(text)
    workspace_in(folder)
    return settings_in(folder, agents_file=str(folder / "agents.yaml"))


async def copies(desk: Desk, says: list[Any], aggregation: Any, **execution: Any) -> dict[str, Any]:
    return await desk.call(
        "task_orchestrate",
        task={
            "description": "say it",
            "type": "say",
            "agentType": "sayer",
            "parallelism": len(says),
            "config": {"says": says},
        },
        execution={"resultAggregation": aggregation, **execution},
        wait=True,
        waitTimeout=120,
    )


def test_copies_of_a_task_are_made_into_one_by_every_method(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        found = await copies(desk, ["a", "b", "a"], "majority_vote")
        assert found["status"] == "completed"
        result, task = found["result"], found["taskId"]
        assert (result["outcome"], result["value"]) == ("agreed", "a")
        assert result["dissent"] == [f"{task}.2"]
        assert result["said"] == {f"{task}.1": "a", f"{task}.2": "b", f"{task}.3": "a"}
        again = await desk.call("task_results", taskId=task)
        assert again["result"] == result and again["partsTotal"] == 3

        found = await copies(desk, ["large", "b"], "majority_vote")
        assert found["result"]["outcome"] == "nothing_in_common"
        assert len(found["result"]["said"][f"{found['taskId']}.1"]) == 100_000

        rule = {"method": "majority_vote", "equality": "normalised"}
        found = await copies(desk, ["Yes ", "yes"], rule)
        assert found["result"]["value"] == "Yes "
        found = await copies(desk, [{"q": 1}, {"q": 2}], {"method": "best", "score": "q"})
        assert found["result"]["value"] == {"q": 2}
        found = await copies(desk, [{"a": 1}, {"b": 2, "a": 3}], "merge")
        assert found["result"]["value"] == {"b": 2}
        assert found["result"]["conflicts"][0]["path"] == "a"
        found = await copies(desk, ["a", "a"], "first_success")
        assert (found["result"]["outcome"], found["result"]["value"]) == ("chosen", "a")

    with_core(settings(tmp_path), use)


def test_the_share_that_may_fail_is_borne_and_told_and_more_fails_it_all(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        found = await copies(desk, ["a", None, "a"], "majority_vote", failureThreshold=0.4)
        assert found["status"] == "completed" and found["result"]["value"] == "a"
        (reason,) = found["result"]["failed"].values()
        assert "copy 2 has nothing to say" in reason
        found = await copies(desk, ["a", None, "a"], "majority_vote", failureThreshold=0.2)
        assert found["status"] == "failed"
        assert found["reason"].startswith("phase work: 1 of 3 failed, and 20 % may")

    with_core(settings(tmp_path), use)


def test_what_is_cut_off_when_more_failed_than_may_is_told_with_the_numbers(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        desk, says = Desk(opened), [None, None, "until cancelled"]
        found = await copies(desk, says, "first_success", failureThreshold=0.4)
        why = "phase work: 2 of 3 failed, and 40 % may"
        assert found["reason"] == f"{why}; 1 part that had not ended is cancelled"
        last = f"{found['taskId']}.3"
        assert found["warnings"][-1].startswith((f"{last} is cancelled", f"{last} is still at"))
        await desk.call("task_results", taskId=last, wait=True, waitTimeout=120)
        again = await desk.call("task_results", taskId=found["taskId"])
        assert again["warnings"][-1] == f"{last} is cancelled: its plan failed: {why}"

    with_core(settings(tmp_path), use)


def test_subtasks_are_aggregated_by_the_weights_of_agents_by_id_or_name(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        ids: list[str] = []
        for name in ("Ada", "Bob", "Cyd"):
            made = await desk.call("agent_spawn", agentType="sayer", name=name, swarmId="s1")
            ids.append(made["agentId"])
        subtasks = [
            {"description": "say", "type": "say", "agentId": name, "input": said}
            for name, said in (("Ada", "x"), ("Bob", "y"), ("Cyd", "y"))
        ]
        found = await desk.call(
            "task_orchestrate",
            task={"description": "say it", "subtasks": subtasks},
            execution={"resultAggregation": {"method": "weighted", "weights": {ids[0]: 3}}},
            swarmId="s1",
            wait=True,
            waitTimeout=120,
        )
        assert (found["result"]["outcome"], found["result"]["value"]) == ("agreed", "x")
        assert [group["weight"] for group in found["result"]["groups"]] == [3, 2]
        assert found["warnings"] == []

        async def weighed(**weights: float) -> dict[str, Any]:
            rule = {"method": "weighted", "weights": weights}
            return await desk.call(
                "task_orchestrate",
                task={"description": "say it", "subtasks": subtasks},
                execution={"resultAggregation": rule},
                swarmId="s1",
                wait=True,
                waitTimeout=120,
            )

        found = await weighed(Ada=3, Nobody=5)
        assert found["result"]["value"] == "x" and found["result"]["unused"] == ["Nobody"]
        (warning,) = found["warnings"]
        assert '"Nobody"' in warning and "Ada" not in warning
        with pytest.raises(UsageError, match=f"{ids[0]} twice"):
            await weighed(**{"Ada": 3, ids[0]: 2})

    with_core(settings(tmp_path), use)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"task": {"description": "x", "type": "say", "agentType": "sayer"}}, "one task"),
        ({"task": "Audit this", "aggregation": "merge"}, "goal in words"),
        ({"task": "Audit this", "aggregation": "first_success"}, "goal in words"),
        ({"task": "Do it", "candidates": 2}, "coding agents"),
        ({"task": "x", "stages": [{"stage": "review"}]}, "resultAggregation has no meaning"),
    ],
)
def test_where_there_is_nothing_to_aggregate_it_is_refused(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    aggregation = given.pop("aggregation", "majority_vote")

    async def use(opened: OpenServer) -> None:
        with pytest.raises(UsageError, match=words):
            await Desk(opened).call(
                "task_orchestrate", execution={"resultAggregation": aggregation}, **given
            )

    with_core(settings(tmp_path), use)


def test_of_a_goal_in_words_the_majority_of_what_its_reviews_recommend_stands_in_the_report(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        found = await Desk(opened).call(
            "task_orchestrate",
            task="Audit this repository",
            execution={"resultAggregation": "majority_vote", "failureThreshold": 0.2},
            wait=True,
            waitTimeout=300,
        )
        assert found["status"] == "completed"
        told = found["result"]["aggregation"]
        assert (told["outcome"], told["value"]) == ("agreed", "approve")
        assert set(told["said"].values()) == {"approve"} and len(told["said"]) >= 2
        assert "findings" in found["result"] or "verdict" in found["result"]

    with_core(settings(tmp_path), use)

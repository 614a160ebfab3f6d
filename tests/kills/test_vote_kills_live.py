"""A server killed with -9 in the middle of a vote: ballots count on, the others are still asked."""

from pathlib import Path
from typing import Any

import pytest

from tests.serve.server_process import serving, until
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain.events import decode_record

VOTERS = Path(__file__).parents[1] / "serve" / "voting_agents.py"


def in_log(folder: Path, swarm: str, kind: type[Any]) -> list[Any]:
    """Events of a kind, from the log itself."""
    log = SqliteLog.open(folder / "home" / "server" / "log.db", read_only=True)
    try:
        every = [event for entry in log.read(swarm) for event in decode_record(entry.body).events]
    finally:
        log.close()
    return [event for event in every if isinstance(event, kind)]


@pytest.mark.acceptance("consensus")
def test_a_vote_goes_on_where_it_was_when_its_server_is_killed_in_the_middle(
    tmp_path: Path,
) -> None:
    go, templates = tmp_path / "go", tmp_path / "voters.yaml"
    templates.write_text(
        "agent_templates:\n"
        f'  adder: {{class: "{VOTERS}:Adder"}}\n'
        f'  checker: {{class: "{VOTERS}:Checker"}}\n',
        encoding="utf-8",
    )
    with serving(tmp_path, "--agents", str(templates)) as served:
        swarm = served.call("swarm_init")["swarmId"]

        def spawn(kind: str, **config: Any) -> str:
            made = served.call(
                "agent_spawn", agentType=kind, swarmId=swarm, config=config, wait=True
            )
            return made["agentId"]

        spawn("adder")
        quick = spawn("checker")
        held = [spawn("checker", hold=str(go)) for _ in range(2)]
        task = {"description": "", "type": "add", "agentType": "adder", "input": [2, 3]}
        made = served.call("task_orchestrate", task=task, swarmId=swarm, formTeam=False, wait=True)
        members = [quick, *held]
        opened = served.call(
            "daa_consensus",
            swarmId=swarm,
            agents=members,
            proposal={"task_result": made["taskId"], "voting_mechanism": "unanimous"},
            wait=False,
        )
        vote = opened["voteId"]

        def look() -> dict[str, Any]:
            return served.call("daa_consensus", swarmId=swarm, voteId=vote, wait=False)

        def choices() -> dict[str, str | None]:
            return {each["agentId"]: each["choice"] for each in look()["ballots"]}

        until(lambda: choices()[quick] == "approve")
        served.kill_server()
        served.started()
        assert look()["status"] == "open" and choices()[quick] == "approve"
        assert look()["electorate"] == members
        go.touch()
        until(lambda: look()["status"] == "decided")
        found = look()
        assert (found["decision"], found["tally"]["approve"]) == ("approved", 3)
        served.kill_server()
        served.started()
        assert look() == found, "a decided vote never changes"
    cast = [ballot for ballot in in_log(tmp_path, swarm, e.BallotCast) if ballot.vote == vote]
    assert sorted(ballot.member for ballot in cast) == sorted(members)
    assert len([d for d in in_log(tmp_path, swarm, e.VoteDecided) if d.vote == vote]) == 1
    assert len(in_log(tmp_path, swarm, e.Recovered)) == 2

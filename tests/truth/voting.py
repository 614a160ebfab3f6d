"""Votes of every kind: decided, referred to a person, open, and on results."""

from pathlib import Path

from tests.truth.scenario import Client, Params


def voting(client: Client, given: Params, folder: Path) -> None:
    """Members that agree, and that do not; one that takes its time."""
    ask, swarm = client.ask, f"votes-{given.name}"
    go = folder / "go-and-vote"
    says = ("approve", "reject", "abstain")[: given.count]
    members: list[str] = []
    for say in ("approve", *says):
        config = {"says": say, "note": given.note, "order": [given.name, given.colour]}
        spawned = ask("agent_spawn", agentType="voter", swarmId=swarm, config=config, wait=True)
        members.append(spawned["agentId"])
    slow = ask(
        "agent_spawn", agentType="voter", swarmId=swarm, name="slow", wait=True,
        config={"says": "approve", "go": str(go)},
    )["agentId"]  # fmt: skip
    task = {"description": "n", "agentId": members[0], "type": f"v-{given.name}", "input": 1}
    made = ask("task_orchestrate", task=task, swarmId=swarm, formTeam=False, wait=True)["taskId"]
    proposal = {"task_result": made, "threshold": 0.5 + given.share / 4}
    for mechanism in ("weighted", "majority", "unanimous"):
        ask("daa_consensus", swarmId=swarm, agents=members,
            proposal={**proposal, "voting_mechanism": mechanism})  # fmt: skip
    ask("daa_consensus", swarmId=swarm, agents=members[1:],
        proposal={"question": f"Is it {given.colour}?", "conflict_resolution": "expert_priority",
                  "voting_mechanism": "unanimous"})  # fmt: skip
    ask("daa_consensus", swarmId=swarm, agents=members,
        proposal={"question": "Which?", "options": [given.name, given.colour, "none"],
                  "voting_mechanism": "ranked"})  # fmt: skip
    person = {"question": "Really?", "voting_mechanism": "unanimous",
              "conflict_resolution": "human"}  # fmt: skip
    vote = ask("daa_consensus", swarmId=swarm, agents=members, proposal=person)["voteId"]
    ask("daa_consensus", swarmId=swarm, voteId=vote, decision="rejected")
    later = {"question": "And now?", "timeout": 60 + given.count}
    vote = ask("daa_consensus", swarmId=swarm, agents=[slow], proposal=later, wait=False)["voteId"]
    ask("daa_consensus", swarmId=swarm, agents=[slow, members[0]],
        proposal={"question": "At once?", "timeout": given.count - 1})  # fmt: skip
    go.touch()
    ask("daa_consensus", swarmId=swarm, voteId=vote)
    ask("daa_consensus", swarmId=swarm,
        proposal={"task_assignment": given.goal, "candidates": members[: given.count]})  # fmt: skip
    terms = {"votingMechanism": "quorum", "threshold": 0.6, "conflictResolution": "coordinator"}
    agreed = {"description": "n", "agentId": members[-1], "type": "v-agreed", "input": 2}
    ask("task_orchestrate", task=agreed, swarmId=swarm, formTeam=False, wait=True,
        consensusRequired=terms)  # fmt: skip
    ask("swarm_destroy", swarmId=swarm)

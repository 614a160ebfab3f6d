"""What the auditor knows of votes whose members are asked, and of plans that wait for one."""

from collections.abc import Iterator

from visionflow.domain.tasks import TERMINAL
from visionflow.domain.votes import CAST_BALLOT
from visionflow.engine.state import SwarmState


def voting_faults(state: SwarmState) -> Iterator[str]:
    """What is wrong, one sentence each."""
    polls = state.polls
    for task, (vote, member) in polls.asked.items():
        found = state.tasks.get(task)
        if found is None or found.status in TERMINAL:
            yield f"task {task} asks for a ballot and has ended"
        elif found.spec.type != CAST_BALLOT or found.spec.agent != member:
            yield f"task {task} does not ask {member} for its ballot on {vote}"
    for name, vote in state.votes.items():
        waited = [
            member
            for member, task in zip(vote.spec.electorate, vote.tasks, strict=False)
            if vote.ballots[member] is None and task not in polls.asked
        ]
        if waited and not vote.referred:
            yield f"vote {name} waits for {waited[0]}, and no task asks that one"
        root = vote.spec.task
        if vote.spec.gates and root not in polls.gated:
            yield f"vote {name} decides how {root} ends, and that does not wait for it"
    for root in polls.gated:
        task = state.tasks.get(root)
        if task is None or task.plan is None or task.status in TERMINAL:
            yield f"plan {root} waits for a vote and has ended"
        elif root not in polls.authors:
            yield f"plan {root} waits for a vote, and nobody knows who made its parts"
        elif not any(phase.open for phase in task.plan.phases) and not any(
            vote.spec.gates and vote.spec.task == root for vote in state.votes.values()
        ):
            yield f"all parts of plan {root} have ended, and nobody votes on it"

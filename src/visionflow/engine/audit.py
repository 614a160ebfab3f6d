"""The auditor: what must always hold of a state, checked from scratch.

It recomputes from the facts everything that the engine keeps up incrementally, and names each
difference. An empty list is a clean bill.
"""

from collections.abc import Iterator

from visionflow.domain.agents import AgentStatus, WorkerStatus
from visionflow.domain.limits import THROTTLES_PER_TASK_MAX
from visionflow.domain.outside import UNSETTLED, EffectStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.audit_auctions import auction_faults
from visionflow.engine.audit_mail import mail_faults
from visionflow.engine.audit_pipelines import pipeline_faults
from visionflow.engine.audit_teams import team_faults
from visionflow.engine.audit_voting import voting_faults
from visionflow.engine.audit_waiting import waiting_faults
from visionflow.engine.phasing import in_turn
from visionflow.engine.state import AgentState, PhaseState, PlanState, SwarmState, TaskState

LIVE = (WorkerStatus.STARTING, WorkerStatus.JOINED, WorkerStatus.STOPPING)
OPEN = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)


def audit(state: SwarmState) -> list[str]:
    """Every invariant that does not hold, one sentence each."""
    faults: list[str] = []
    for task in state.tasks.values():
        faults.extend(_task(state, task))
    for agent in state.agents.values():
        faults.extend(_agent(state, agent))
    faults.extend(_throttles(state))
    faults.extend(_recalls(state))
    faults.extend(_workers(state))
    faults.extend(_awaited(state))
    faults.extend(_votes(state))
    faults.extend(voting_faults(state))
    faults.extend(_outside(state))
    faults.extend(waiting_faults(state))
    faults.extend(pipeline_faults(state))
    faults.extend(mail_faults(state))
    faults.extend(team_faults(state))
    faults.extend(_order(state))
    faults.extend(auction_faults(state))
    faults.extend(_totals(state))
    return faults


def _task(state: SwarmState, task: TaskState) -> Iterator[str]:
    name, status = task.spec.id, task.status
    waits = name in state.matching or name in state.mesh.auctions
    if (status is TaskStatus.QUEUED) != waits:
        yield f"task {name} is {status} and the queue says otherwise"
    holder = None if task.agent is None else state.agents.get(task.agent)
    if status in OPEN:
        if holder is None or holder.open.get(name) != task.attempt:
            yield f"task {name} is {status} and no agent holds attempt {task.attempt}"
    elif task.agent is not None:
        yield f"task {name} is {status} and still names agent {task.agent}"
    if status is TaskStatus.PENDING and not _has_reason_to_wait(state, task):
        yield f"task {name} is pending and nothing will ever queue it"
    if status is TaskStatus.ORCHESTRATING:
        piped = name in state.pipelines.open or name in state.pipelines.unsettled
        # One that waits for a vote is looked at with those.
        if not (piped or name in state.polls.gated) and (
            task.plan is None or not any(phase.open for phase in task.plan.phases)
        ):
            yield f"plan {name} has no open part and has not settled"
    if task.plan is not None:
        yield from _plan(state, name, task.plan)


def _throttles(state: SwarmState) -> Iterator[str]:
    for name, count in state.throttles.items():
        task = state.tasks.get(name)
        if task is None or task.status in TERMINAL:
            yield f"task {name} has ended and its waits are still counted"
        elif not 0 < count <= min(task.attempt, THROTTLES_PER_TASK_MAX):
            yield f"task {name} was throttled {count} times in {task.attempt} attempts"


def _recalls(state: SwarmState) -> Iterator[str]:
    for name, attempt in state.supervised.recalling.items():
        task = state.tasks.get(name)
        if task is None or task.attempt != attempt or task.status is not TaskStatus.ASSIGNED:
            yield f"attempt {attempt} of {name} is asked back and does not wait in a worker"
    for name, attempt in state.supervised.stalled.items():
        task = state.tasks.get(name)
        if task is None or task.attempt != attempt or task.status is not TaskStatus.RUNNING:
            yield f"attempt {attempt} of {name} is taken to be stuck and does not run"
    for name in state.supervised.batches:
        if name not in state.agents:
            yield f"agent {name} is not there and counts as one that takes batches"


def _has_reason_to_wait(state: SwarmState, task: TaskState) -> bool:
    if task.retry_at_ms is not None or task.waiting:
        return True
    root = None if task.spec.parent is None else state.tasks.get(task.spec.parent)
    if root is None or root.plan is None:
        return False
    if root.status is not TaskStatus.ORCHESTRATING:
        return root.status is TaskStatus.BLOCKED
    phase = root.plan.phases[task.phase]
    held = phase.is_bounded and task.spec.id not in in_turn(phase, lambda n: _over(state, n))
    return task.phase > root.plan.current or held


def _plan(state: SwarmState, name: str, plan: PlanState) -> Iterator[str]:
    for place, phase in enumerate(plan.phases):
        yield from _in_turn(state, name, phase, place <= plan.current)
        parts = [state.tasks.get(part) for part in phase.tasks]
        if any(part is None for part in parts):
            continue
        still = sum(1 for part in parts if part is not None and part.status not in TERMINAL)
        if still != phase.open:
            yield f"plan {name}: phase {phase.name} counts {phase.open} open, there are {still}"


def _over(state: SwarmState, name: str) -> bool:
    task = state.tasks.get(name)
    return task is None or task.status in TERMINAL


def _in_turn(state: SwarmState, plan: str, phase: PhaseState, is_open: bool) -> Iterator[str]:
    root = state.tasks[plan]
    allowed = in_turn(phase, lambda name: _over(state, name)) if phase.is_bounded else phase.tasks
    for name in phase.tasks:
        part = state.tasks.get(name)
        if part is None or part.status in TERMINAL:
            continue
        waits = part.status is TaskStatus.PENDING and part.retry_at_ms is None
        held = root.status is TaskStatus.BLOCKED or not is_open
        if not waits and (held or (phase.is_bounded and name not in allowed)):
            yield f"plan {plan}: {name} is {part.status} before its turn"


def _agent(state: SwarmState, agent: AgentState) -> Iterator[str]:
    name = agent.spec.id
    if agent.completed < 0 or agent.failed < 0:
        yield f"agent {name} counts {agent.completed} completed, {agent.failed} failed attempts"
    for task, attempt in agent.open.items():
        found = state.tasks.get(task)
        if found is None or found.agent != name or found.attempt != attempt:
            yield f"agent {name} holds {task} attempt {attempt}, which is not its own"
    if (agent.status is AgentStatus.PROCESSING) != bool(agent.open and agent.status in ABLE):
        yield f"agent {name} is {agent.status} and holds {len(agent.open)} attempts"
    if agent.status not in ABLE and agent.open:
        yield f"agent {name} is {agent.status} and holds attempts"
    if agent.status not in ABLE and (state.matching.room(agent.spec.id) or -1) >= 0:
        yield f"agent {name} is {agent.status} and is offered tasks"
    if name in state.draining and (state.matching.room(name) or -1) >= 0:
        yield f"agent {name} is draining and is offered tasks"
    changing = name in state.updating or name in state.moving
    if changing and (state.matching.room(name) or -1) >= 0:
        yield f"agent {name} is being changed and is offered tasks"
    # One that was built again while it drains ends where it is, at the next tick.
    if name in state.moving and name not in state.updating and name not in state.draining:
        yield f"agent {name} is to move and nothing of it is to be built"
    if state.revisions.get(name, 0) == 0 and name in state.updating:
        yield f"agent {name} is being updated and has no version"
    if name not in state.workers[agent.worker].agents:
        yield f"agent {name} is not on its worker {agent.worker}"


def _workers(state: SwarmState) -> Iterator[str]:
    for name in state.supervised.suspects:
        worker = state.workers.get(name)
        if worker is None or worker.status is not WorkerStatus.JOINED:
            yield f"worker {name} is suspected and has no process that said hello"
    for worker in state.workers.values():
        for name in worker.agents:
            agent = state.agents.get(name)
            if agent is None or agent.worker != worker.id:
                yield f"worker {worker.id} lists agent {name}, which is not on it"
            elif agent.status in ABLE and worker.status is not WorkerStatus.JOINED:
                yield f"agent {name} is {agent.status} and worker {worker.id} is {worker.status}"

    for name, place in state.departing.items():
        worker = state.workers.get(place)
        if worker is None or worker.status in (WorkerStatus.WANTED, WorkerStatus.FAILED):
            yield f"agent {name} is to be ended in worker {place}, which has no process"
    for name in state.supervised.debugging:
        if name not in state.agents:
            yield f"agent {name} is not there and its debug lines are kept"
    for name in (*state.revisions, *state.updating, *state.moving):
        if name not in state.agents:
            yield f"agent {name} is not there and counts as being changed"


def _awaited(state: SwarmState) -> Iterator[str]:
    sup = state.supervised
    for name in (*sup.awaited, *sup.secrets):
        worker = state.workers.get(name)
        if worker is None or worker.status not in LIVE:
            yield f"worker {name} has no process, and one is to come back or show a secret"
    for name in sup.awaited:
        if name not in sup.secrets:
            yield f"worker {name} is awaited and could not show who it is"
        worker = state.workers.get(name)
        for agent in () if worker is None else worker.agents:
            if (state.matching.room(agent) or -1) >= 0:
                yield f"agent {agent} is offered tasks before its worker {name} is back"


def _votes(state: SwarmState) -> Iterator[str]:
    for name, vote in state.votes.items():
        if name in state.decided:
            yield f"vote {name} is open and decided"
        if tuple(vote.ballots) != vote.spec.electorate:
            yield f"vote {name} counts the ballots of others than its electorate"
        if None not in vote.ballots.values() and not vote.referred:
            yield f"vote {name} is open and every member has cast a ballot"
        if vote.referred != (vote.verdict is not None) or (vote.referred and vote.deadline_ms):
            yield f"vote {name} is referred to a person, or open, and not as one should be"


def _outside(state: SwarmState) -> Iterator[str]:
    outside = state.outside
    for key, effect in outside.effects.items():
        status, of_task = effect.status, outside.tasks.get(effect.task)
        listed = of_task is not None and key in of_task.keys
        if (status is EffectStatus.IN_DOUBT) != (key in outside.doubts):
            yield f"effect {key} is {status} and the list of doubts says otherwise"
        if status is EffectStatus.RESERVED and not listed and key not in outside.orphans:
            yield f"effect {key} is reserved by a task that has ended"
        if listed == (key in outside.over) and status not in UNSETTLED:
            yield f"effect {key} is {status} and is kept for no task, or twice"
        if of_task is not None and listed:
            if (status in UNSETTLED) != (key in of_task.unsettled):
                yield f"effect {key} is {status} and its task says otherwise"
    for name, of_task in outside.tasks.items():
        task = state.tasks.get(name)
        if task is None or task.status in TERMINAL:
            yield f"task {name} has ended and counts as having effects"
        for key in of_task.keys:
            if key not in outside.effects or outside.effects[key].task != name:
                yield f"effect {key} is not that of task {name}"
    for key in (*outside.doubts, *outside.orphans, *outside.over):
        if key not in outside.effects:
            yield f"effect {key} is listed and unknown"


def _order(state: SwarmState) -> Iterator[str]:
    if list(state.roster) != list(state.agents):
        yield "the order of joining has others than the agents that there are"
    token, place = state.assigning.token, state.assigning.token_place
    if (token is None) != (place == 0):
        yield f"the token of the ring is {token}'s, which stood at {place}"


def _totals(state: SwarmState) -> Iterator[str]:
    live = sum(1 for task in state.tasks.values() if task.status not in TERMINAL)
    if live != state.live:
        yield f"{live} tasks are alive, the state counts {state.live}"
    queued = sum(1 for task in state.tasks.values() if task.status is TaskStatus.QUEUED)
    if queued != len(state.matching) + len(state.mesh.auctions):
        yield f"{queued} tasks are queued, the index has {len(state.matching)}"
    held = sum(len(agent.open) for agent in state.agents.values())
    if held != state.totals.open:
        yield f"agents hold {held} attempts, the state counts {state.totals.open}"
    counters = state.counters
    ended = counters.completed + counters.failed + counters.cancelled + counters.dead_letter
    if ended < counters.submitted - live:
        yield f"{counters.submitted} submitted, {ended} ended, {live} alive: some are lost"
    for name in state.ended:
        if name not in state.tasks or state.tasks[name].status not in TERMINAL:
            yield f"task {name} is listed as ended and is not"

"""What a log line tells of each event of teams; it fills the table of `chronicle_words`."""

from visionflow.domain import teams_events as t
from visionflow.runtime.chronicle_words import REASON_CHARS_MAX, Known, Told, one_line, tells


def _why(text: str) -> str:
    return one_line(text, REASON_CHARS_MAX)


def _because(reason: str) -> str:
    return f": {_why(reason)}" if reason else ""


@tells("info", "agent", t.ManagerNamed)
def _(event: t.ManagerNamed, known: Known) -> Told:
    if event.agent is None:
        told = f"nobody is left to manage {known.swarm}"
    else:
        instead = f" instead of {event.before}" if event.before else ""
        told = f"{event.agent} manages {known.swarm}{instead}"
    return Told(event.agent, "manager_named", f"{told}{_because(event.reason)}")


@tells("info", "agent", t.TeamFormed)
def _(event: t.TeamFormed, known: Known) -> Told:
    team = event.team
    told = f"it leads team {one_line(team.name, 64)} of {len(team.members)}"
    return Told(team.lead, "team_formed", f"{told}; at most {team.span} may report to it")


@tells("info", "agent", t.TeamJoined)
def _(event: t.TeamJoined, known: Known) -> Told:
    told = f"it is in team {one_line(event.team, 64)} from now on"
    return Told(event.agent, "team_joined", f"{told}{_because(event.reason)}")


@tells("warning", "agent", t.LeadReplaced)
def _(event: t.LeadReplaced, known: Known) -> Told:
    team, why = one_line(event.team, 64), _because(event.reason)
    if event.after is None:
        return Told(event.before, "lead_replaced", f"nobody is left to lead team {team}{why}")
    record = f"completed {event.completed}, failed {event.failed}"
    told = f"it leads team {team} from now on ({record}){why}"
    return Told(event.after, "lead_replaced", told)


@tells("info", "task", t.TaskDelegated)
def _(event: t.TaskDelegated, known: Known) -> Told:
    if event.team:
        figures = f", the best of {len(event.fits)} able to do it" if event.fits else ""
        told = f"goes to team {one_line(event.team, 64)}{figures}"
    else:
        told = "goes to no team: in none is anybody able to do it"
    why = f": {known.reason(event.task, event.reason)}" if event.reason else ""
    return Told(event.by, "task_delegated", f"{known.task(event.task)} {told}{why}")


@tells("warning", "fault", t.Escalated)
def _(event: t.Escalated, known: Known) -> Told:
    of = "" if event.task is None else f", {known.task(event.task)}"
    told = f"team {one_line(event.team, 64)}{of}: {_why(event.evidence)}; {_why(event.action)}"
    return Told(event.agent, "escalated", told)

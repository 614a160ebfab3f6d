"""Checks of a running server, asked with the same tools as any client: itself, and its swarms."""

import asyncio
import shlex
import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, cast

import msgspec

from visionflow.adapters.lock import owner
from visionflow.adapters.os_processes import Identity, state_of
from visionflow.compose.doctor.values import Check, Finding, Level, Place, Seen, Skipped
from visionflow.compose.store import ServerStore
from visionflow.domain.errors import Forbidden, Unauthenticated, VisionFlowError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.ports.host import ProcessState
from visionflow.settings.origins import resolve

ANSWER_S = 15.0
DIAL_S = 2.0
TOKEN = "VISIONFLOW_TOKEN"
ERROR_RATE_MAX = 0.1
"""The guide's: above it an alert is due."""
WAIT_MAX_S = 300.0
"""A task that nobody has taken for longer than an attempt may last."""
MEMORY_SHARE_MAX = 0.9
SWARMS_MAX = 50
CONNECTIONS_SHARE_MAX = 0.9
Connect = Callable[[], MCPClient]
Reply = Mapping[str, Any]


class Swarm(msgspec.Struct, frozen=True):
    """What a server tells of one."""

    status: Reply
    report: Reply
    doubted: Reply = {}
    """Its outside effects of which nobody knows whether they happened."""


class Answers(msgspec.Struct, frozen=True):
    """What a server told; `fault` where it did not."""

    info: Reply = {}
    swarms: tuple[Swarm, ...] = ()
    fault: str | None = None
    refused: bool = False
    """It answered, and takes no calls of this caller."""


def service_checks(connect: Connect) -> tuple[Check, ...]:
    """All of them. The server is asked once, by the first that is made."""
    asked: list[Answers] = []

    def answers() -> Answers:
        if not asked:
            asked.append(asyncio.run(_ask(connect())))
        return asked[0]

    return (
        Check("server", "The server", lambda place: server(place, answers())),
        Check("agents", "Agents", lambda place: agents(place, answers())),
        Check("queue", "Tasks that wait", lambda place: queue(place, answers())),
        Check("errors", "Errors", lambda place: errors(place, answers())),
        Check("effects", "Outside effects", lambda place: effects(place, answers())),
    )


async def _ask(client: MCPClient) -> Answers:
    try:
        async with asyncio.timeout(ANSWER_S), client:
            info = cast("Reply", await client.call("server_info"))
            listed = cast("Reply", await client.call("swarm_list", {"limit": SWARMS_MAX}))
            swarms: list[Swarm] = []
            for each in listed["swarms"]:
                if each["status"] == "ended":
                    continue
                name = each["swarmId"]
                given = {"swarmId": name}
                in_doubt = {**given, "status": ["in_doubt"]}
                swarms.append(
                    Swarm(
                        cast("Reply", await client.call("swarm_status", given)),
                        cast("Reply", await client.call("performance_report", given)),
                        cast("Reply", await client.call("effects", in_doubt)),
                    )
                )
    except (Unauthenticated, Forbidden) as error:
        return Answers(fault=str(error), refused=True)
    except (VisionFlowError, TimeoutError, OSError) as error:
        return Answers(fault=str(error) or f"no answer within {ANSWER_S:.0f} s")
    return Answers(info, tuple(swarms))


def server(place: Place, told: Answers) -> Seen:
    """Whether it answers, is ready, and is of this version; or who has its ports."""
    if told.fault is not None:
        return _refusing(place, told.fault) if told.refused else _silent(place, told.fault)
    findings: list[Finding] = []
    info, own = told.info, version("visionflow")
    if not info["ready"]:
        findings.append(
            Finding(
                level=Level.WARNING,
                what="The server is not ready: it starts or ends.",
                why="It takes no calls that change anything.",
                mend="mcp-tcp-status",
            )
        )
    if info["version"] != own:
        findings.append(
            Finding(
                level=Level.WARNING,
                what=f"The server is version {info['version']}, this program {own}.",
                why="It has other tools and faults than this documentation.",
                mend="visionflow serve",
            )
        )
    used, most = info["usage"].get("connections"), info["limits"].get("connections")
    if used is not None and most and used > CONNECTIONS_SHARE_MAX * most:
        findings.append(
            Finding(
                level=Level.WARNING,
                what=f"{used} of {most:.0f} connections are open.",
                why="The next clients are refused. The setting connections_max in server.yaml "
                "is how many may be open.",
            )
        )
    return Seen(f"version {info['version']}, up {info['uptimeSeconds']:.0f} s", tuple(findings))


def _refusing(place: Place, fault: str) -> Seen:
    given = place.token is None and bool(place.environment.get(TOKEN))
    found = Finding(
        level=Level.ERROR,
        what=f"The server answers and refuses this caller: {fault}",
        why="It takes no call with this token, so nothing more is known of it."
        + (f" The token is that of {TOKEN}." if given else ""),
        mend=f"unset {TOKEN}" if given and place.server is None else None,
    )
    return Seen("it refuses", (found,))


def _silent(place: Place, fault: str) -> Seen:
    if place.server is not None:
        return Seen("no answer", (named_silent(place.server, fault),))
    own = _own_silent(ServerStore.of(str(place.home)), fault)
    if own is not None:
        return Seen("no answer", (own,))
    findings: list[Finding] = []
    try:
        kept = resolve({"home": str(place.home)}, place.environment).settings
    except VisionFlowError:
        return Seen("none of yours runs")
    for port, option in ((kept.tcp_port, "--port"), (kept.web_port, "--web-port")):
        if port and _answers(kept.host, port):
            findings.append(
                Finding(
                    level=Level.WARNING,
                    what=f"Something else listens on {kept.host}:{port}.",
                    why="A server of yours could not open its port and would end with 75.",
                    mend=f"visionflow serve {option} 0",
                )
            )
    return Seen("none of yours runs", tuple(findings))


def _own_silent(store: ServerStore, fault: str) -> Finding | None:
    """This user's own server, which has a process and gives no answer; `None` without one."""
    who = owner(store.lock)
    if who is not None:
        stopped = state_of(Identity(who.pid, who.started)) is ProcessState.STOPPED
        why = "Somebody stopped it." if stopped else "It hangs, or is just starting or ending."
        return Finding(
            level=Level.ERROR,
            what=f"Your server, process {who.pid}, does not answer: {fault}",
            why=f"{why} Clients wait. One that is killed is started again by its front, and "
            "nothing acknowledged is lost.",
            mend=f"kill -CONT {who.pid}" if stopped else f"kill -9 {who.pid}",
        )
    front = owner(store.front_lock)
    if front is None:
        return None
    return Finding(
        level=Level.WARNING,
        what=f"Your server is not there; its front, process {front.pid}, is starting or ending it.",
        why="It takes no calls until it is up.",
        mend="mcp-tcp-status",
    )


def named_silent(server: str, fault: str) -> Finding:
    """One that was named: nobody is there, or somebody who is none of ours."""
    host, _, port = server.rpartition(":")
    dialled = host and port.isdecimal() and "/" not in server
    if dialled and _answers(host, int(port)):
        return Finding(
            level=Level.ERROR,
            what=f"What listens on {server} does not answer as a server does: {fault}",
            why="It is another program, or a server that hangs: clients get nothing from it.",
            mend="visionflow serve --port 0",
        )
    return Finding(
        level=Level.ERROR,
        what=f"The server {server} does not answer: {fault}",
        why="Nobody who is to use it can.",
        mend=_serving_at(host, port) if dialled else "visionflow serve",
    )


def _serving_at(host: str, port: str) -> str | None:
    here = host in ("localhost", "127.0.0.1")
    return f"visionflow serve --port {port}" if here else None


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), DIAL_S).close()
    except OSError:
        return False
    return True


def agents(place: Place, told: Answers) -> Seen | Skipped:
    """Agents that failed, swarms that are degraded, ceilings that are near."""
    if told.fault is not None:
        return Skipped("no server answers")
    findings: list[Finding] = []
    count = 0
    for swarm in told.swarms:
        status, name = swarm.status, swarm.status["swarmId"]
        count += len(status["agents"])
        if status.get("degraded"):
            findings.append(
                Finding(
                    level=Level.ERROR,
                    what=f"Swarm {name} is degraded: {status['degraded']}",
                    why="What failed does not come back by itself.",
                    mend=_call(place, "swarm_status", swarmId=name),
                )
            )
        findings += _unwell(place, status)
        findings += [
            Finding(
                level=Level.ERROR,
                what=f"Agent {each['id']} ({each['type']}) has failed.",
                why="It takes no tasks and is not started again by itself.",
                mend=_call(place, "agent_restart", agentId=each["id"]),
            )
            for each in status["agents"]
            if each["status"] == "failed"
        ]
        findings += [
            Finding(
                level=Level.WARNING,
                what=f"Agent {each['id']} uses {each['memoryUsage']:.0f} % of its memory.",
                why="At its ceiling its process is ended, and what it works on begins anew.",
                mend=_call(place, "agent_restart", agentId=each["id"], drain="true"),
            )
            for each in swarm.report["agents"]
            if (each.get("memoryUsage") or 0) > 100 * MEMORY_SHARE_MAX
        ]
    return Seen(f"{count} in {len(told.swarms)} swarms", tuple(findings))


def _unwell(place: Place, status: Reply) -> list[Finding]:
    """What a swarm keeps work from, and what seems to stand still."""
    name = status["swarmId"]
    found = [
        Finding(
            level=Level.WARNING,
            what=f"Worker {each} of swarm {name} may be gone.",
            why="Its agents get nothing new until it answers or is given up and replaced.",
            mend=_call(place, "swarm_reconnect", swarmId=name),
        )
        for each in status.get("suspected", ())
    ]
    found += [
        Finding(
            level=Level.WARNING,
            what=f"The circuit {each} of swarm {name} is open.",
            why="It failed five times in a row; nothing is tried with it for a while, then one "
            "call is. agent_health and events say what failed.",
            mend=_call(place, "agent_health", agentId=each.removeprefix("agent:"))
            if each.startswith("agent:")
            else None,
        )
        for each in status.get("openCircuits", ())
    ]
    return found + [
        Finding(
            level=Level.WARNING,
            what=f"Task {each} of swarm {name} makes no progress.",
            why="It takes over twice its estimate, or says the same again and again.",
            mend=_call(place, "task_cancel", taskId=each),
        )
        for each in status.get("stalledTasks", ())
    ]


def queue(place: Place, told: Answers) -> Seen | Skipped:
    """Tasks that nobody takes, that wait for a person, or that were given up."""
    if told.fault is not None:
        return Skipped("no server answers")
    findings: list[Finding] = []
    waiting = 0
    for swarm in told.swarms:
        status, name = swarm.status, swarm.status["swarmId"]
        counts = status["taskQueue"]
        waiting += counts["queued"]
        oldest = counts["oldestWaitSeconds"]
        if counts["queued"] and oldest is not None and oldest > WAIT_MAX_S:
            why = next((w for w in status["warnings"] if "queued task" in w), None)
            findings.append(
                Finding(
                    level=Level.WARNING,
                    what=f"In swarm {name} {counts['queued']} tasks are queued, one for "
                    f"{oldest:.0f} s. {why or ''}".rstrip(),
                    why="There are too few agents for them, or none that can do them.",
                    mend=_call(
                        place, "task_queue_clear", swarmId=name,
                        filter=f"status:stuck,age:>{WAIT_MAX_S:.0f}",
                    ) if why else _call(place, "load_balance", swarmId=name),
                )
            )  # fmt: skip
        if counts["blocked"]:
            findings.append(
                Finding(
                    level=Level.WARNING,
                    what=f"In swarm {name} {counts['blocked']} tasks are blocked.",
                    why="They wait for a person, a budget or a backend; each says which.",
                    mend=_call(place, "task_list", swarmId=name, status="blocked"),
                )
            )
        if counts["deadLetter"]:
            findings.append(
                Finding(
                    level=Level.INFO,
                    what=f"In swarm {name} {counts['deadLetter']} tasks were given up.",
                    why="Each attempt that they were allowed failed.",
                    mend=_call(place, "task_list", swarmId=name, status="dead_letter"),
                )
            )
    return Seen(f"{waiting} queued", tuple(findings))


def errors(place: Place, told: Answers) -> Seen | Skipped:
    """The share of attempts that fail."""
    if told.fault is not None:
        return Skipped("no server answers")
    findings: list[Finding] = []
    total = 0
    for swarm in told.swarms:
        name, figures = swarm.status["swarmId"], swarm.report["errorMetrics"]
        total += figures["total"]
        rate = figures["rate"]
        if rate is not None and rate > ERROR_RATE_MAX:
            kinds = ", ".join(f"{each['type']} {each['count']}" for each in figures["byType"])
            findings.append(
                Finding(
                    level=Level.WARNING,
                    what=f"In swarm {name} {rate:.0%} of the attempts fail: {kinds}.",
                    why="Above 10 % something is wrong with the tasks, the agents or what they "
                    "use.",
                    mend=_call(place, "performance_report", swarmId=name, format="json"),
                )
            )
    return Seen(f"{total} attempts failed in a day", tuple(findings))


def effects(place: Place, told: Answers) -> Seen | Skipped:
    """Effects that nobody knows of whether they happened."""
    if told.fault is not None:
        return Skipped("no server answers")
    server = [f"--server {shlex.quote(place.server)}"] if place.server is not None else []
    findings = [
        Finding(
            level=Level.WARNING,
            what=f"Whether {each['name']} ({each['request']}) happened is not known.",
            why="Its task waits until somebody says: --done, --not-done or --abandon.",
            mend=" ".join(
                ["visionflow effects show", shlex.quote(each["key"]), *server, "--swarm",
                 shlex.quote(swarm.status["swarmId"])]
            ),
        )
        for swarm in told.swarms
        for each in swarm.doubted.get("effects", ())
    ]  # fmt: skip
    return Seen(f"{len(findings)} in doubt", tuple(findings))


def _call(place: Place, tool: str, **given: str) -> str:
    words = [f"visionflow call {tool}"]
    words += [f"--{name}={shlex.quote(value)}" for name, value in given.items()]
    if place.server is not None:
        words.append(f"--server={shlex.quote(place.server)}")
    return " ".join(words)

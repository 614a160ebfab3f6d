"""The command of one go: its words, its whole environment, and all that it may touch."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from visionflow.agents.command.hiding import Hiding, values_in
from visionflow.agents.command.home import held_in
from visionflow.agents.command.reach import is_too_much, reads_of
from visionflow.agents.command.settings import CommandSettings
from visionflow.agents.command.template import Template, argv_of
from visionflow.agents.roles.job import JobInput
from visionflow.agents.tools.environment import choose
from visionflow.domain.errors import UsageError
from visionflow.ports.sandbox import Command, Completed

PROCESSES_MAX = 512
KEPT_BYTES = 65_536
_WHO = {
    "GIT_AUTHOR_NAME": "VisionFlow",
    "GIT_AUTHOR_EMAIL": "visionflow@localhost",
    "GIT_COMMITTER_NAME": "VisionFlow",
    "GIT_COMMITTER_EMAIL": "visionflow@localhost",
}


class Wish(msgspec.Struct, frozen=True):
    """What does not change from go to go of a task."""

    template: Template
    settings: CommandSettings
    job: JobInput
    copy: str
    """The folder that it works in."""
    home: str
    objects: str
    """Where the private repository has its objects."""
    context: str


def own_environment(wish: Wish, ours: Mapping[str, str]) -> dict[str, str]:
    """The agent's whole environment, `ours` being that of this process."""
    profile = wish.template.profile
    names = [*profile.env, *wish.settings.env]
    passed = {
        name: ours[name] for name in names if name in ours and not name.startswith("VISIONFLOW_")
    }
    made = {
        **profile.set,
        **passed,
        **_WHO,
        "PATH": ours.get("PATH", os.defpath),
        "HOME": wish.home,
        "LANG": ours.get("LANG", "C.UTF-8"),
        "TERM": "dumb",
    }
    tests = choose(wish.job.workspace, wish.job.virtual_env)
    if tests.kind != "own":
        made["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(tests.python))
        made["PATH"] = os.pathsep.join((os.path.dirname(tests.python), made["PATH"]))
    return made


def hiding_of(wish: Wish, env: Mapping[str, str], copies: list[str]) -> Hiding:
    """Hides the credentials among what the agent was given; `copies`: names of files in its
    home."""
    named = (*wish.template.profile.secrets, *wish.settings.env)
    values = {env[name] for name in named if name in env}
    for text in held_in(Path(wish.home), copies):
        values |= values_in(text)
    return Hiding(values)


def command_of(
    wish: Wish, env: dict[str, str], *, session: str | None, wall_ms: int, locks: tuple[int, ...]
) -> Command:
    """What the sandbox is to run.

    Raises:
        UsageError: the goal is too long for a command line.
    """
    job, settings, template = wish.job, wish.settings, wish.template
    tests = choose(job.workspace, job.virtual_env)
    own = (wish.objects, *allowed(settings.read), *(tests.read if tests.kind != "own" else ()))
    limits = [each for each in (settings.memory_bytes, job.bounds.memory_bytes) if each is not None]
    network = template.profile.network if settings.network is None else settings.network
    return Command(
        argv=argv_of(
            template, goal=job.goal, workspace=wish.copy, context=wish.context, session=session
        ),
        cwd=wish.copy,
        env=env,
        read=reads_of(template.words, env["PATH"], given=own),
        write=(wish.copy, wish.home),
        network=network,
        wall_ms=wall_ms,
        memory_bytes=min(limits, default=None),
        processes_max=PROCESSES_MAX,
        output_bytes_max=KEPT_BYTES,
        trusted=job.trusted,
        output_total_bytes_max=job.bounds.output_bytes,
        locks=locks,
    )


def allowed(paths: tuple[str, ...]) -> tuple[str, ...]:
    """What the settings let it read, with the user's home for `~`.

    Raises:
        UsageError: one is relative, or it is a home folder or has one in it.
    """
    found = tuple(os.path.expanduser(each) for each in paths)
    for path in found:
        if not os.path.isabs(path) or is_too_much(path):
            why = "has a whole home in it" if os.path.isabs(path) else "is no absolute path"
            raise UsageError(
                f"A coding agent may not be let read {path!r}, which {why}.",
                hint="Name the folders in it that it needs.",
            )
    return found


def held_by(done: Completed) -> tuple[str, ...]:
    """What confined it, one phrase each."""
    enforced = done.enforced
    parts = (
        ("files", enforced.filesystem),
        ("network", enforced.network),
        ("processes", enforced.processes),
        ("memory", enforced.memory),
    )
    return tuple(f"{what} by {by}" for what, by in parts if by is not None)

"""Detecting: which command-line agents are installed here, and what each of them still needs.

Looks at programs in PATH (`PROGRAM --version`, in an empty home and under a time limit), and at
the names of variables and files that hold credentials; never at their values.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from visionflow.agents.command.profiles import PROFILES, SCRIPT, Profile, credentials_of
from visionflow.agents.command.roles import Role, roles_in
from visionflow.agents.tools.text import one_line

VERSION_S = 30.0
"""How long a program may take to tell its version; those in Python take seconds."""
OUTPUT_MAX = 4_000
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?[\w.+-]*")


class Found(msgspec.Struct, frozen=True):
    """A profile, as far as it is usable here."""

    profile: str
    title: str
    path: str | None
    """The program; `None`: it is not in PATH."""
    version: str | None
    """`None`: not installed, or it did not tell."""
    credentials: tuple[str, ...]
    """Names of variables and files that are there and let it in."""
    ready: bool
    needs: tuple[str, ...]
    """What is missing and how to get it, one sentence each."""
    reports: str
    resumes: bool


class FoundRole(msgspec.Struct, frozen=True):
    """A role that was found, or a file that is none."""

    name: str
    file: str
    description: str
    fault: str | None


class Detected(msgspec.Struct, frozen=True):
    """All that is there."""

    profiles: tuple[Found, ...]
    roles: tuple[FoundRole, ...]


def detect(
    workspace: Path, home: Path | None, env: Mapping[str, str], version_s: float = VERSION_S
) -> Detected:
    """Look for every profile, side by side. `env`: the user's environment, PATH among it;
    `version_s`: how long a program may take to tell its version."""
    known = [each for each in PROFILES.values() if each is not SCRIPT]
    with ThreadPoolExecutor(len(known)) as pool:
        asked = [pool.submit(_found, each, home, env, version_s) for each in known]
    found = tuple(each.result() for each in asked)
    return Detected(found, tuple(_role(each) for each in roles_in(workspace, home).values()))


def _role(role: Role) -> FoundRole:
    return FoundRole(role.name, role.file, role.description, role.fault)


def _found(profile: Profile, home: Path | None, env: Mapping[str, str], version_s: float) -> Found:
    path = shutil.which(profile.program, path=env.get("PATH", os.defpath))
    version, trouble = (None, None) if path is None else version_of(path, env, version_s)
    credentials = signs_of(profile, home, env)
    needs: list[str] = []
    if path is None:
        needs.append(
            f"Its program {profile.program} is not in PATH; install it with: {profile.install}."
        )
    if trouble is not None:
        needs.append(trouble)
    if not credentials:
        needs.append(f"It needs {profile.needs}: {profile.login}.")
        if profile.name == "codex" and env.get("OPENAI_API_KEY"):
            needs.append("OPENAI_API_KEY is set, but Codex takes its key from CODEX_API_KEY.")
    return Found(
        profile=profile.name,
        title=profile.title,
        path=path,
        version=version,
        credentials=credentials,
        ready=not needs,
        needs=tuple(needs),
        reports=profile.reports,
        resumes=profile.resumes,
    )


def signs_of(profile: Profile, home: Path | None, env: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables and files that are there and are enough to be let in."""
    files = () if home is None else tuple(name for name, _ in credentials_of(profile, home, env))
    return tuple(name for name in profile.signs if env.get(name) or name in files)


def version_of(
    path: str, env: Mapping[str, str], version_s: float
) -> tuple[str | None, str | None]:
    """What `PROGRAM --version` tells, and what went wrong with that, in one sentence."""
    with tempfile.TemporaryDirectory(prefix="visionflow-") as home:
        own = {"HOME": home, "PATH": env.get("PATH", os.defpath), "LANG": "C.UTF-8", "TERM": "dumb"}
        try:
            with subprocess.Popen(
                [path, "--version"],
                env=own,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process:
                try:
                    said, _ = process.communicate(timeout=version_s)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate()
                    return None, f"{path} --version gave no answer in {version_s:g} s."
        except OSError as error:
            return None, f"{path} cannot be run: {error.strerror}."
    text = one_line(said[:OUTPUT_MAX].decode("utf-8", "replace"), OUTPUT_MAX)
    if process.returncode != 0:
        return None, f"{path} --version ended with {process.returncode}: {one_line(text, 120)}."
    match = _VERSION.search(text)
    return (None if match is None else match[0]), None

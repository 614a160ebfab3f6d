"""The bundle: what a maintainer needs to see what went wrong, without secrets and payloads.

Of events only ids, kinds and reasons are taken, never inputs, results or configurations. Lines
are masked like those of reports; besides, the values of variables whose names tell of a secret
are replaced wherever they stand.
"""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.agents.tools.hiding import hide
from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.doctor.values import Examined, Place
from visionflow.compose.job.exits import OutputError
from visionflow.compose.job.folder import RunFolder
from visionflow.compose.job.listing import list_runs
from visionflow.compose.store import ServerStore, Store
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.secrecy import masked
from visionflow.settings.origins import SETTINGS, resolve
from visionflow.worker.hiding import WORKING_FOLDERS

LOG_BYTES = 256 * 1024
"""Of each log its last so many."""
EVENTS_MAX = 1_000
"""Of each stream the last so many."""
RUNS_MAX = 5
KERNEL_S = 10.0
_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|pwd|credential|auth|cookie|session|dsn")
"""Wider than what lines are masked by: a bundle leaves the machine."""
_OURS = ("VISIONFLOW_", "MCP_", "MAX_AGENTS", "AGENT_TIMEOUT")
_FIELDS = frozenset(
    "task attempt agent worker incarnation kind retry_at_ms restart_at_ms busy boot pid score_bp "
    "duration_us revision moves agents_max gap_ms current vote member choice circuit failures "
    "until_ms cause strategy action lock on ring broken memory_bytes before_bytes timeout_ms key "
    "name waits code started kept kept_until_ms probes type before after agents agent_type number "
    "types attempts probing place first to withheld full deliveries delivery again rule sender "
    "target seats round took_ms members reachable read_only converged_ms size_bytes required "
    "pipeline stage start missed status decision tally decider team span fits topology gain_bp "
    "rolled_back cooled_ms barred_ms".split()
)
"""What of an event says where things stood."""
_OF_SPECS = ("id", "type", "agent", "parent", "priority", "topology", "mechanism")
"""And of what it is about, where it has that whole."""
_IDS = re.compile(
    r"\b(?:agent|message|pipeline|run|swarm|task|vote)_(?:\d{13}_[0-9a-z]{9}|[0-9a-f]{24})\b"
)
_ASIDE = re.compile(r"\0(\d+)\0")
_records = msgspec.msgpack.Decoder(tuple[int, list[dict[str, Any]]])
_TEXTS = frozenset(("reason", "message", "evidence", "missing", "why"))


class Bundled(msgspec.Struct, frozen=True):
    """What was written."""

    path: str
    files: tuple[str, ...]
    masked: int
    """Lines in which something was hidden."""


class _Writing:
    """The files so far, and what hides secrets in them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        told = (
            value
            for name, value in environment.items()
            if name not in WORKING_FOLDERS and _SECRET_NAME.search(name)
        )
        self._secrets = KnownSecrets(value for value in told if len(value) > 5)
        self.files: dict[str, bytes] = {}
        self.masked = 0

    def text(self, text: str) -> str:
        """`text` without what may be a secret, line by line."""
        lines = text.split("\n")
        hidden = [self._line(line) for line in lines]
        self.masked += sum(one != other for one, other in zip(lines, hidden, strict=True))
        return "\n".join(hidden)

    def _line(self, line: str) -> str:
        ids: list[str] = []

        def set_aside(found: re.Match[str]) -> str:
            ids.append(found[0])
            return f"\0{len(ids) - 1}\0"

        # Ids look as random as a key; without them nobody could follow a task.
        bare = _IDS.sub(set_aside, masked(self._secrets.text(line.replace("\0", ""))))
        hidden = hide(bare, prose=True)
        return _ASIDE.sub(lambda found: ids[int(found[1])], hidden)

    def add(self, name: str, text: str) -> None:
        """A file of lines."""
        self.files[name] = self.text(text).encode("utf-8", "replace")

    def add_json(self, name: str, value: object) -> None:
        """A file of one value. The keys of its maps are our own words, and stay."""
        told = json.dumps(self._without(value), indent=1, sort_keys=True, default=str)
        self.files[name] = told.encode("utf-8", "replace")

    def add_events(self, name: str, events: Iterable[Mapping[str, Any]]) -> None:
        """A file of one event a line. What is no text of its own is a word of ours or an id."""
        lines: list[str] = []
        for event in events:
            told = {
                key: self._without(each, plain=key not in _TEXTS) for key, each in event.items()
            }
            self.masked += told != event
            lines.append(json.dumps(told, default=str))
        self.files[name] = "\n".join(lines).encode("utf-8", "replace")

    def _without(self, value: Any, *, plain: bool = False) -> Any:
        if isinstance(value, str):
            return masked(self._secrets.text(value)) if plain else self.text(value)
        if isinstance(value, dict):
            tree = cast("dict[str, Any]", value)
            return {key: self._without(each, plain=plain) for key, each in tree.items()}
        if isinstance(value, (list, tuple)):
            return [self._without(each, plain=plain) for each in cast("list[Any]", value)]
        return value


def bundle(place: Place, examined: Examined, path: Path) -> Bundled:
    """Write the bundle as a whole, for its owner alone.

    Raises:
        OutputError: it cannot be written there.
    """
    made = _Writing(place.environment)
    made.add_json("doctor.json", msgspec.to_builtins(examined))
    made.add_json("settings.json", _settings(place))
    made.add_json(
        "environment.json",
        {name: _shown(name, value) for name, value in sorted(place.environment.items())
         if name.startswith(_OURS)},
    )  # fmt: skip
    made.add("processes.txt", "\n".join(_processes()))
    for name, store in _stores(place):
        for file in (store.lines, store.workers):
            if file.is_file():
                made.add(f"{name}/{file.name}", _end(file))
        if store.log.is_file():
            made.add_events(f"{name}/events.jsonl", _events(store.log))
    kernel = _kernel()
    if kernel is not None:
        made.add("kernel.txt", kernel)
    manifest = {
        "version": version("visionflow"),
        "python": sys.version,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {name: len(content) for name, content in sorted(made.files.items())},
        "lines masked": made.masked,
        "left out": "inputs, results, configurations, blobs, workspaces, tokens",
    }
    made.add_json("manifest.json", manifest)
    _write(path, made.files)
    return Bundled(str(path), tuple(sorted(made.files)), made.masked)


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with (
                os.fdopen(descriptor, "wb") as raw,
                tarfile.open(fileobj=raw, mode="w:gz") as archive,
            ):
                for name, content in sorted(files.items()):
                    member = tarfile.TarInfo(f"visionflow-doctor/{name}")
                    member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
                    archive.addfile(member, io.BytesIO(content))
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"The bundle {path} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that you may write.",
        ) from error


def _settings(place: Place) -> object:
    try:
        found = resolve({"home": str(place.home)}, place.environment)
    except VisionFlowError as error:
        return {"fault": str(error)}
    return {
        setting.key: {
            "value": _shown(setting.key, found.shown(setting)),
            "origin": found.origins[setting.key],
        }
        for setting in SETTINGS
    }


def _shown(name: str, value: object) -> object:
    told = isinstance(value, bool) or not value
    return "[hidden]" if _SECRET_NAME.search(name) and not told else value


def _stores(place: Place) -> Iterator[tuple[str, Store]]:
    yield "server", ServerStore.of(str(place.home))
    try:
        found = list_runs(place.out)[:RUNS_MAX]
    except VisionFlowError:
        return
    for each in found:
        yield each.run, Store(RunFolder(each.out).state)


def _end(path: Path) -> str:
    with path.open("rb") as file:
        begin = max(0, path.stat().st_size - LOG_BYTES)
        file.seek(begin)
        content = file.read()
    if begin:
        # The name before a secret, by which it is known, may be what was cut off.
        content = content.partition(b"\n")[2]
    return content.decode("utf-8", "replace")


def _beginning(text: str, most: int) -> str:
    """As much of a text as there may be, in whole words: half of a secret looks like none."""
    return text if len(text) <= most else f"{text[:most].rpartition(' ')[0]} ..."


def _events(path: Path) -> Iterator[dict[str, Any]]:
    try:
        log = SqliteLog.open(path, read_only=True)
        try:
            for stream in log.streams():
                yield from _of_stream(log, stream)
        finally:
            log.close()
    except VisionFlowError as error:
        yield {"reason": f"the log cannot be read: {error}"}


def _of_stream(log: SqliteLog, stream: str) -> Iterator[dict[str, Any]]:
    head = log.head(stream).seq
    counts: Counter[str] = Counter()
    for entry in log.read(stream, max(0, head - EVENTS_MAX)):
        at_ms, events = _records.decode(entry.body)
        for event in events:
            counts[str(event.get("t"))] += 1
            told = {name: value for name, value in event.items() if name in _FIELDS}
            spec = event.get("spec")
            if isinstance(spec, dict):
                whole = cast("dict[str, Any]", spec)
                told["spec"] = {name: whole[name] for name in _OF_SPECS if name in whole}
            told |= {name: _beginning(str(event[name]), 300) for name in _TEXTS if name in event}
            yield {"seq": entry.seq, "at_ms": at_ms, "t": event.get("t"), **told}
    yield {"stream": stream, "records": head, "counted": dict(counts)}


def _processes() -> Iterator[str]:
    import psutil

    for each in psutil.process_iter(("pid", "ppid", "status", "create_time", "memory_info")):
        try:
            words = each.cmdline()
        except psutil.Error:
            continue
        title = " ".join(words)
        if "visionflow" in title:
            seen: dict[str, Any] = each.info
            resident = getattr(seen["memory_info"], "rss", None)
            words = _beginning(title, 300)
            yield f"{seen['pid']} {seen['ppid']} {seen['status']} {resident} {words}"


def _kernel() -> str | None:
    """What the kernel says of processes that it ended for want of memory, where we may read it."""
    try:
        done = subprocess.run(
            ["dmesg"], capture_output=True, text=True, timeout=KERNEL_S, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    lines = [line for line in done.stdout.splitlines() if re.search(r"(?i)oom|out of memory", line)]
    return "\n".join(lines[-50:])

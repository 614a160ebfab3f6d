"""Where a server's settings come from: flags, then the environment, then a file, then defaults.

Each value keeps its origin, and a fault is told with the place that it stands in: the flag, the
variable, or the line of the file.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.domain.errors import ConfigError, UsageError
from visionflow.domain.sizes import MEMORY_FORMS, memory_bytes
from visionflow.settings.lines import Located, read_yaml
from visionflow.settings.server import ServerSettings

FILE_NAME = "server.yaml"
HOME_VARIABLE = "VISIONFLOW_HOME"
Read = Callable[[object], Any]
"""From what was written to the value; a ValueError says what may be written."""
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
GRACE_MS_MAX = 3_600_000
_LEVELS = ("debug", "info", "warning", "error")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a text")
    return value.strip()


def _whole(least: int, most: int) -> Read:
    def read(value: object) -> int:
        number = value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value.strip()):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return read


def _rate(value: object) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) else 0.0
    except ValueError:
        number = 0.0
    if isinstance(value, bool) or not 0 < number < 1e9:
        raise ValueError("a number above 0")
    return number


def _switch(value: object) -> bool:
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError("true or false")
    return word in _YES


def _choice(*words: str) -> Read:
    def read(value: object) -> str:
        word = str(value).strip().lower()
        word = "warning" if word == "warn" and "warning" in words else word
        if word not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return word

    return read


def _seconds(value: object) -> int:
    found = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
    ms = 0 if found is None else round(float(found[1]) * _UNITS[found[2] or "s"])
    if not 0 < ms <= 10 * 365 * 24 * 3_600_000:
        raise ValueError('seconds, or a time such as "90s", "5m" or "1h"')
    return ms


def _grace(value: object) -> int:
    if not isinstance(value, bool) and str(value).strip() in ("0", "0s"):
        return 0
    ms = _seconds(value)
    if ms > GRACE_MS_MAX:
        raise ValueError("0, or a time of at most 1h")
    return ms


def _size(value: object) -> int:
    found = memory_bytes(value) if isinstance(value, (str, int, float)) else None
    if found is None or found < 1_024:
        raise ValueError(f"a size of at least 1Ki. {MEMORY_FORMS}")
    return found


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word for word in (each.strip() for each in value.split(",")) if word)
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        if all(isinstance(each, str) and each for each in items):
            return tuple(cast("list[str]", items))
    raise ValueError('a list of texts, or one text "a,b"')


def _commands(value: object) -> tuple[str, ...]:
    """A command line may hold commas: only names of profiles stand in one text."""
    given = (_text(value),) if isinstance(value, str) and " " in value.strip() else _words(value)
    return tuple(dict.fromkeys(map(_text, given)))


def _file(value: object) -> str:
    return os.path.abspath(os.path.expanduser(_text(value)))


def _folders(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    folders = tuple(os.path.realpath(os.path.expanduser(word)) for word in _words(value))
    for folder in folders:
        if not os.path.isdir(folder):
            why = "is no folder" if os.path.exists(folder) else "is not there"
            raise ValueError(f"folders that are there; {folder} {why}")
    return tuple(dict.fromkeys(folders))


class Setting(msgspec.Struct, frozen=True):
    """A setting: its names, and how its value is written."""

    field: str
    """Of `ServerSettings`."""
    key: str
    """In a file, and the first word of `visionflow config`."""
    read: Read
    about: str
    flag: str | None = None
    environment: str | None = None
    in_file: bool = True


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "home",
        "home",
        _file,
        "Where state lives.",
        "--home",
        HOME_VARIABLE,
        in_file=False,
    ),
    Setting(
        "host",
        "host",
        _text,
        "The address to listen on. Beyond loopback a token is needed.",
        "--host",
    ),
    Setting(
        "tcp_port",
        "port",
        _whole(0, 65_535),
        "The port for clients: lines, HTTP and MCP. 0 takes any that is free.",
        "--port",
        "MCP_TCP_PORT",
    ),
    Setting(
        "enable_tcp",
        "enable_tcp",
        _switch,
        "Whether that port speaks JSON-RPC lines beside HTTP.",
        None,
        "MCP_ENABLE_TCP",
    ),
    Setting(
        "web_port",
        "web_port",
        _whole(0, 65_535),
        "The port for REST and health.",
        "--web-port",
        "VISIONFLOW_WEB_PORT",
    ),
    Setting(
        "workspaces",
        "workspaces",
        _folders,
        "Folders that tasks may work on; the first where a task names none. The current one.",
        "--workspace",
    ),
    Setting("agents_file", "agents", _file, "An agents.yaml with templates.", "--agents"),
    Setting(
        "agents_max",
        "max_agents",
        _whole(1, 100_000),
        "Agents of all swarms together.",
        "--max-agents",
        "MAX_AGENTS",
    ),
    Setting(
        "agent_timeout_ms",
        "agent_timeout",
        _seconds,
        "What an attempt may take unless it says otherwise, in seconds.",
        "--agent-timeout",
        "AGENT_TIMEOUT",
    ),
    Setting(
        "orphan_grace_ms",
        "orphan_grace",
        _grace,
        "How long workers wait for the next server when theirs is gone, in seconds; 0: not at all.",
        None,
        "VISIONFLOW_ORPHAN_GRACE",
    ),
    Setting(
        "keep_workers",
        "keep_workers",
        _switch,
        "Leave workers to the next server also when told to end in order: for upgrades.",
        "--keep-workers",
    ),
    Setting(
        "workers_max",
        "workers_max",
        _whole(1, 1_000),
        "Processes that agents of one swarm share.",
    ),
    Setting(
        "autoscale",
        "autoscale",
        _switch,
        "Whether the numbers of agents follow the load, where a swarm does not say.",
        "--autoscale",
    ),
    Setting(
        "coding_agents",
        "coding_agents",
        _commands,
        "Coding agents that clients may use: profiles such as claude, or command lines.",
        "--coding-agent",
        "VISIONFLOW_CODING_AGENTS",
    ),
    Setting(
        "trust",
        "trust",
        _switch,
        "Run foreign code also where nothing confines it.",
        "--trust",
    ),
    Setting(
        "log_level",
        "log_level",
        _choice(*_LEVELS),
        "Lines below it are left out.",
        "--log-level",
        "MCP_LOG_LEVEL",
    ),
    Setting(
        "log_format",
        "log_format",
        _choice("text", "json"),
        "How lines are written.",
        "--log-format",
    ),
    Setting(
        "allowed_hosts",
        "allowed_hosts",
        _words,
        "Names beside loopback's that a Host header may have.",
    ),
    Setting(
        "allowed_origins",
        "allowed_origins",
        _words,
        "Origins of pages that may call.",
    ),
    Setting(
        "allow_unauthenticated",
        "allow_unauthenticated",
        _switch,
        "Serve whoever reaches a port, as admin. Each start says so.",
        None,
        "VISIONFLOW_ALLOW_UNAUTHENTICATED",
    ),
    Setting(
        "connections_max",
        "connections_max",
        _whole(1, 1_000_000),
        "Connections that are open at once.",
    ),
    Setting(
        "calls_per_second",
        "calls_per_second",
        _rate,
        "Of one client with a token, over a minute.",
    ),
    Setting(
        "calls_at_once",
        "calls_at_once",
        _whole(1, 100_000),
        "Of one client with a token, at one time.",
    ),
    Setting("frame_bytes_max", "frame_bytes_max", _size, "One line or body."),
    Setting("depth_max", "depth_max", _whole(1, 200), "Lists and maps in each other in one."),
)
_KEYS = tuple(setting.key for setting in SETTINGS if setting.in_file)


class Resolved(msgspec.Struct, frozen=True):
    """Settings, and where each came from."""

    settings: ServerSettings
    origins: dict[str, str]
    """By key: default, the flag, `environment NAME`, or `FILE:LINE`."""
    file: str
    """The file that was looked for."""
    read: bool
    """Whether it is there."""

    def shown(self, setting: Setting) -> object:
        """A setting's value as it is written in a file."""
        value: object = getattr(self.settings, setting.field)
        if isinstance(value, int) and setting.read in (_seconds, _grace):
            return value // 1_000 if value % 1_000 == 0 else f"{value}ms"
        return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def home_of(environment: Mapping[str, str]) -> Path:
    """VISIONFLOW_HOME, or the platform's folder for state."""
    named = environment.get(HOME_VARIABLE)
    if named:
        return Path(os.path.abspath(named))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "visionflow"
    state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "visionflow"


def completed(settings: ServerSettings, environment: Mapping[str, str]) -> ServerSettings:
    """The same with the home and the workspace that hold where none is named."""
    if not settings.home:
        settings = msgspec.structs.replace(settings, home=str(home_of(environment)))
    if not settings.workspaces:
        settings = msgspec.structs.replace(settings, workspaces=(os.path.realpath("."),))
    return settings


def resolve(
    flags: Mapping[str, object], environment: Mapping[str, str], config: Path | None = None
) -> Resolved:
    """The settings that hold. `flags` is by key, without those that were not given; `config` is
    the file to read in the place of `HOME/server.yaml`.

    Raises:
        UsageError: a flag's value is none.
        ConfigError: a variable or the file has a fault; the message names it.
    """
    values: dict[str, Any] = {}
    origins = {setting.key: "default" for setting in SETTINGS}
    for setting in SETTINGS:
        given = _given(setting, flags, environment)
        if given is not None:
            values[setting.field], origins[setting.key] = given
    home = values.get("home") or str(home_of(environment))
    file = Path(home, FILE_NAME) if config is None else Path(os.path.abspath(config))
    found = read_yaml(file) if config is not None or file.exists() else None
    if found is not None:
        for setting, item, line in _written(found):
            value = _read_item(setting, item, line, file.parent)
            if setting.field not in values:
                values[setting.field] = value
                origins[setting.key] = f"{found.file}:{line}"
    settings = completed(ServerSettings(**values), environment)
    return Resolved(settings, origins, str(file), found is not None)


def check_ports(resolved: Resolved) -> None:
    """See that a server could open both its ports.

    Raises:
        UsageError, ConfigError: they are one; the message says where each came from.
    """
    settings, origins = resolved.settings, resolved.origins
    port = settings.tcp_port
    if port and port == settings.web_port:
        first, second = origins["port"], origins["web_port"]
        both = f"port ({first}) and web_port ({second}) are both {port}"
        kind = UsageError if "flag" in (first[:4], second[:4]) else ConfigError
        raise kind(
            f"{both}, and each needs one of its own.",
            hint="Take another with --port or --web-port; 0 takes one that is free.",
        )


def check_keeping(resolved: Resolved) -> None:
    """See that workers which are to be left to the next server would wait for it.

    Raises:
        UsageError, ConfigError: they would not; the message says where both were said.
    """
    settings, origins = resolved.settings, resolved.origins
    if settings.keep_workers and not settings.orphan_grace_ms:
        first, second = origins["keep_workers"], origins["orphan_grace"]
        kind = UsageError if first.startswith("flag") else ConfigError
        raise kind(
            f"keep_workers is on ({first}), and orphan_grace is 0 ({second}): workers that wait "
            "for nobody cannot be left to the next server.",
            hint="Leave out --keep-workers, or set VISIONFLOW_ORPHAN_GRACE to some seconds.",
        )


def _given(
    setting: Setting, flags: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[Any, str] | None:
    if setting.key in flags and setting.flag is not None:
        value = flags[setting.key]
        try:
            return setting.read(value), f"flag {setting.flag}"
        except ValueError as error:
            raise UsageError(f"{setting.flag} is {_shown(value)}, and takes {error}.") from error
    name = setting.environment
    text = "" if name is None else environment.get(name, "").strip()
    if not text:
        return None
    try:
        return setting.read(text), f"environment {name}"
    except ValueError as error:
        raise ConfigError(
            f"The environment variable {name} is {_shown(text)}, and takes {error}.",
            hint=f"Set it to such a value, or unset it: {setting.about}",
        ) from error


def _written(file: Located) -> list[tuple[Setting, Located, int]]:
    if file.value is None:
        return []
    if not isinstance(file.value, dict):
        raise file.fault("The file is no map of settings.", hint=f"Allowed: {', '.join(_KEYS)}.")
    by_key = {setting.key: setting for setting in SETTINGS}
    found: list[tuple[Setting, Located, int]] = []
    for key, item in file.items.items():
        setting = by_key.get(key)
        if setting is not None and not setting.in_file:
            raise file.fault(
                f"{key!r} cannot be set in a file: it says where the file is.",
                line=file.keys[key],
                hint=f"Use {setting.flag} or {setting.environment}.",
            )
        if setting is None:
            raise file.unknown_key(key, _KEYS, "the server's settings")
        found.append((setting, item, file.keys[key]))
    return found


def _read_item(setting: Setting, item: Located, line: int, folder: Path) -> Any:
    value = item.value
    if setting.read in (_file, _folders):
        value = _beside(value, folder)
    try:
        return setting.read(value)
    except ValueError as error:
        raise item.fault(
            f"{setting.key} is {_shown(item.value)}, and takes {error}.", line=line
        ) from error


def _beside(value: object, folder: Path) -> object:
    """Paths of a file are meant from where it lies."""
    if isinstance(value, list):
        return [_beside(each, folder) for each in cast("list[object]", value)]
    if isinstance(value, str) and value.strip():
        return str(folder / os.path.expanduser(value.strip()))
    return value


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(each) for each in cast("tuple[object, ...]", value)) or "empty"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."

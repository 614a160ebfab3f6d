"""Which workspaces the user trusts: their code may run also where nothing confines it."""

import os
from pathlib import Path

import msgspec

from visionflow.agents.tools.text import write_whole
from visionflow.compose.job.exits import OutputError
from visionflow.domain.errors import ConfigError
from visionflow.settings.origins import home_of


class _Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What trust.json holds."""

    workspaces: tuple[str, ...] = ()
    """Real paths, sorted. A folder below one of them is not trusted by that."""


def home() -> Path:
    """VISIONFLOW_HOME, or the platform's folder for state."""
    return home_of(os.environ)


def trusted(workspace: str | os.PathLike[str], at: Path | None = None) -> bool:
    """Whether the user said so of this very folder. `at`: another VISIONFLOW_HOME than ours.

    Raises:
        ConfigError: trust.json is not what we wrote.
    """
    return os.path.realpath(workspace) in _read((at or home()) / "trust.json").workspaces


def remember_trust(workspace: str | os.PathLike[str]) -> None:
    """Trust this folder from now on.

    Raises:
        ConfigError: trust.json is not what we wrote.
        OutputError: it cannot be written.
    """
    file = home() / "trust.json"
    known = {*_read(file).workspaces, os.path.realpath(workspace)}
    content = msgspec.json.encode(_Trust(tuple(sorted(known))))
    try:
        write_whole(file, msgspec.json.format(content, indent=2) + b"\n")
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}.") from error


def _read(file: Path) -> _Trust:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Trust)
    except FileNotFoundError:
        return _Trust()
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.", hint="Mend or remove it.") from error

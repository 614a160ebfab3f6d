"""From a class or function at hand to the import path by which a worker process finds it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visionflow.agents.base import BaseAgent
from visionflow.agents.loading import as_agent_class
from visionflow.domain.errors import UsageError

AgentClass = type[BaseAgent] | Callable[..., Any] | str


def class_path(agent: AgentClass) -> str:
    """The import path by which a worker finds this class or function.

    What a script defines is found in its file, whose `__main__` part does not run again. A string
    is taken as it is: whether it leads anywhere, the worker finds out.

    Raises:
        UsageError: it was defined inside a function, typed into a prompt, or is not what stands
            at its import path.
        ConfigError: it is neither a `BaseAgent` nor a function of one parameter.
    """
    if isinstance(agent, str):
        return _written(agent)
    name = getattr(agent, "__qualname__", "")
    module = getattr(agent, "__module__", "")
    if not name or "<" in name:
        raise UsageError(
            f"{name or type(agent).__name__!r} cannot be imported by a worker process.",
            hint="Give a class or function that is defined at the top of a module or script.",
        )
    place = _main_place(name) if module in ("__main__", "__mp_main__") else module
    if _found(module, name) is not agent:
        raise UsageError(
            f"{module}.{name} is not what was given here, so a worker would find another or none.",
            hint="Define it at the top of a module or script, under its own name.",
        )
    as_agent_class(agent, f"{place}:{name}")
    return f"{place}:{name}"


def _written(path: str) -> str:
    found = path if ":" in path else ":".join(path.rsplit(".", 1))
    place, colon, name = found.rpartition(":")
    if not (colon and place and name):
        raise UsageError(
            f"{path!r} is not the import path of an agent.",
            hint="Write `module:Name` or `/path/to/file.py:Name`.",
        )
    return found


def _main_place(name: str) -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m: as a module of its package its relative imports work.
        return spec.name
    file = getattr(main, "__file__", None)
    if file is None or not Path(file).is_file():
        raise UsageError(
            f"{name} was typed into a prompt, so a worker process cannot import it.",
            hint="Put it into a file.",
        )
    return str(Path(file).resolve())


def _found(module: str, name: str) -> object:
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found

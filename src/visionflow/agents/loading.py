"""Finds an agent's class by `module:attribute` or `/path/to/file.py:attribute`.

A file is loaded under a private name and once: a class of a user's script is found although the
script ran as `__main__` somewhere else, and what stands under its `if __name__ == "__main__"`
does not run again. A function of one parameter, the task, is an agent too.
"""

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.errors import ConfigError

importing: list[str] = []
"""What is being imported to find an agent, innermost last. Who would start things at such a
moment, as a script without a main guard does, can tell by it."""
_loading = threading.RLock()
_loaded_from: dict[str, tuple[int, int]] = {}
"""By module or file, what its file was when this process loaded it first or anew."""
_FORMS = "Write `module:Name` or `/path/to/file.py:Name`."


def load_agent_class(path: str) -> type[BaseAgent]:
    """The class at this import path, or one made from the function there.

    Raises:
        ConfigError: there is no such module, file or attribute, importing it raised, or it is
            neither a `BaseAgent` nor a function of one parameter.
    """
    return as_agent_class(_named(path, "an agent"), path)


def load_function(path: str) -> Callable[..., Any]:
    """The plain function of one parameter, a failure, at this import path: a recovery strategy.

    Raises:
        ConfigError: there is no such module, file or attribute, importing it raised, or it is no
            such function.
    """
    found = _named(path, "a function")
    if not callable(found):
        raise ConfigError(f"{path} is {type(found).__name__}, and no function.", hint=_FORMS)
    if inspect.iscoroutinefunction(found):
        raise ConfigError(
            f"The function {path} is async, and nobody awaits it.", hint="Write a plain `def`."
        )
    _check_one_parameter(found, path, "failure")
    return found


def _named(path: str, what: str) -> Any:
    """What stands at an import path."""
    place, colon, name = path.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"{path!r} is not the import path of {what}.", hint=_FORMS)
    importing.append(place)
    try:
        module = _load_file(place) if _is_file(place) else _import(place)
    finally:
        importing.pop()
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"{place} has no {name}.", hint=_FORMS) from None
    return found


def load_current_class(path: str) -> type[BaseAgent]:
    """As `load_agent_class`; of a file that has changed since this process loaded it, what stands
    there now. Agents that were made before keep the class that they are of.

    Raises:
        ConfigError: as `load_agent_class`.
    """
    place = path.rpartition(":")[0]
    if _is_file(place):
        with _loading:
            if _has_changed(place):
                sys.modules.pop(_name_of(place), None)
    return load_agent_class(path)


def is_outdated(path: str) -> bool:
    """Whether the module or file of this import path has changed since this process loaded it."""
    with _loading:
        return _has_changed(path.rpartition(":")[0])


def _has_changed(place: str) -> bool:
    loaded, module = _loaded_from.get(place), sys.modules.get(_known_as(place))
    return module is not None and loaded is not None and stamp_of(place) not in (loaded, None)


def stamp_of(place: str) -> tuple[int, int] | None:
    """When the file of a module or of this path was written, and its size; `None` where there is
    none, or the module was not imported here."""
    module = sys.modules.get(_known_as(place))
    file = place if _is_file(place) else getattr(module, "__file__", None)
    try:
        seen = os.stat(file or "")
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size


def _known_as(place: str) -> str:
    return _name_of(place) if _is_file(place) else place


def is_loaded(path: str) -> bool:
    """Whether the module or file of this import path was imported before, to its end."""
    place = path.rpartition(":")[0]
    with _loading:
        return _known_as(place) in sys.modules


def as_agent_class(found: object, path: str) -> type[BaseAgent]:
    """The class itself, or one around a function.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(found, type):
        if issubclass(found, BaseAgent):
            for name in ("start", "stop"):
                if not inspect.iscoroutinefunction(getattr(found, name)):
                    raise ConfigError(
                        f"{path} defines {name} without async.",
                        hint=f"Write `async def {name}(self)`.",
                    )
            return found
        raise ConfigError(
            f"{path} is a class that does not derive from visionflow.BaseAgent.",
            hint="Derive it, and write process_task(self, task).",
        )
    if not callable(found):
        raise ConfigError(
            f"{path} is {type(found).__name__}, neither a class nor a function.", hint=_FORMS
        )
    _check_one_parameter(found, path, "task")
    return _agent_around(found)


def _check_one_parameter(found: Callable[..., Any], path: str, what: str) -> None:
    try:
        inspect.signature(found).bind(None)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The function {path} cannot be called with one {what}: {error}.",
            hint=f"Give it one parameter, as in `def work({what})`.",
        ) from error


def _agent_around(work: Callable[..., Any]) -> type[BaseAgent]:
    async def awaited(self: BaseAgent, task: Task) -> Any:
        return await work(task)

    def called(self: BaseAgent, task: Task) -> Any:
        return work(task)

    name = cast(str, getattr(work, "__name__", "function"))
    members = {
        "process_task": awaited if inspect.iscoroutinefunction(work) else called,
        "blocking": bool(getattr(work, "blocking", True)),
        "type": getattr(work, "type", BaseAgent.type),
        "capabilities": tuple(getattr(work, "capabilities", ())),
        "__doc__": work.__doc__,
    }
    return cast("type[BaseAgent]", type(name, (BaseAgent,), members))


def _import(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
        seen = stamp_of(name)
        if seen is not None:
            _loaded_from.setdefault(name, seen)
        return module
    except ImportError as error:
        raise ConfigError(
            f"The module {name} cannot be imported: {error}.",
            hint="It must be installed where the worker runs, or on its import paths.",
        ) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _name_of(file: str) -> str:
    """Under which name the module of a file is known."""
    real = os.path.realpath(file)
    return "_visionflow_script_" + hashlib.sha256(os.fsencode(real)).hexdigest()[:16]


def _load_file(place: str) -> ModuleType:
    # Half of a module is there while it runs: another thread must not take that for all of it.
    with _loading:
        return _loaded(place)


def _loaded(place: str) -> ModuleType:
    real, name = os.path.realpath(place), _name_of(place)
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, real)
    if spec is None or spec.loader is None or not os.path.isfile(real):
        raise ConfigError(f"There is no Python file {place}.", hint=_FORMS)
    module = importlib.util.module_from_spec(spec)
    again, seen = place in _loaded_from, stamp_of(place)
    if seen is not None:
        _loaded_from[place] = seen
    sys.modules[name] = module
    folder = os.path.dirname(real)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        if again:
            # Python's own cache tells versions of a file apart by the second.
            with open(real, "rb") as source:
                code = compile(source.read(), real, "exec", dont_inherit=True)
            exec(code, module.__dict__)
        else:
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(place, error) from error
    return module


def _broken(place: str, error: BaseException) -> ConfigError:
    trace, line = error.__traceback__, ""
    while trace is not None:
        line = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
        trace = trace.tb_next
    return ConfigError(f"Importing {place} raised {type(error).__name__}: {error}{line}.")

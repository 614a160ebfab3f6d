"""Which runs there are under an output folder."""

from pathlib import Path

from visionflow.compose.job.folder import RunFolder, RunInfo
from visionflow.domain.errors import UnknownId, WorkspaceError


def list_runs(out: Path) -> list[RunInfo]:
    """All runs under `out`, newest first; none when there is no such folder.

    Raises:
        WorkspaceError: it is there and cannot be looked into.
    """
    found: list[RunInfo] = []
    for folder in _folders(out):
        try:
            found.append(folder.info())
        except UnknownId:
            continue
    return sorted(found, key=lambda info: (info.started, info.run), reverse=True)


def find_run(out: Path, name_or_prefix: str) -> RunFolder:
    """The run of this id, or the only one whose id begins so.

    Raises:
        UnknownId: there is none, or more than one.
    """
    runs = {info.run: info for info in list_runs(out)}
    names = [name_or_prefix] if name_or_prefix in runs else []
    if not names and name_or_prefix:
        names = [name for name in runs if name.startswith(name_or_prefix)]
    if len(names) == 1:
        return RunFolder(runs[names[0]].out)
    shown = ", ".join(sorted(names or runs)[:5]) or "none"
    what = "More than one run begins with" if names else "There is no run"
    raise UnknownId(
        f"{what} {name_or_prefix!r} under {out}.",
        hint=f"Runs there: {shown}. See `visionflow runs`.",
    )


def _folders(out: Path) -> list[RunFolder]:
    try:
        return [RunFolder(path) for path in out.iterdir() if (path / "run.json").is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WorkspaceError(
            f"Whether there are runs in {out} cannot be told: {error.strerror}.",
            hint="Name the folder of runs with --out, or make it readable.",
        ) from error

"""What the figures were measured on."""

import os
import platform
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import apsw

from bench.contenders import cores
from bench.figures import percentile

SYNCS = 200


def machine() -> dict[str, object]:
    """Cores, versions, load, and what one fsync costs in the folder that is measured in."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        p50, p99 = _fsync_us(Path(folder) / "probe")
        kind = _file_system(folder)
    return {
        "cores": cores(),
        "load_1min": os.getloadavg()[0],
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "huey": _version("huey"),
        "dramatiq": _version("dramatiq"),
        "taskiq": _version("taskiq"),
        "taskiq-redis": _version("taskiq-redis"),
        "redis-py": _version("redis"),
        "mcp": _version("mcp"),
        "fastmcp": _version("fastmcp"),
        "uvicorn": _version("uvicorn"),
        "file_system": kind,
        "fsync_p50_us": round(p50),
        "fsync_p99_us": round(p99),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _fsync_us(path: Path) -> tuple[float, float]:
    taken: list[float] = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4_096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(1e6 * (time.perf_counter() - began))
    return percentile(taken, 0.5), percentile(taken, 0.99)


def _file_system(folder: str) -> str | None:
    """The type of the mount that holds the folder; on `tmpfs` an fsync costs nothing."""
    best, kind = "", None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        inside = folder == place or folder.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind

"""dramatiq with Redis: two workers, each of one process, of which one dies under its task."""

import os
import signal
import subprocess
import sys
import time
from importlib import import_module, reload
from importlib.util import find_spec
from pathlib import Path

from bench.peers.redis_server import RedisServer
from bench.processes import NotThere, descendants, end, start, wait_for

PATIENCE_S = 180.0
"""How long its task is waited for: a worker counts as dead after 60 s of silence."""
NAME = "dramatiq (Redis, AOF always)"


def dead_worker(folder: Path, number: signal.Signals) -> float:
    """Seconds from this signal to all processes of a worker until its task runs again.

    Raises:
        NotThere: dramatiq or Redis is not installed, or the task did not run again in time.
    """
    if find_spec("dramatiq") is None:
        raise NotThere("dramatiq is not installed; `make bench` installs it")
    redis = RedisServer(folder)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        os.environ["DRAMATIQ_BENCH_REDIS"] = redis.url
        module = import_module("bench.peers.dramatiq_tasks")
        tasks = module if redis.url in str(module.broker.client) else reload(module)
        argv = [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_tasks"]
        options = ["--processes", "1", "--threads", "1"]
        place = folder / "first"
        tasks.witness.send(str(place))
        workers.append(start([*argv, *options], folder / "one.log"))
        wait_for("the first run", place.exists)
        workers.append(start([*argv, *options], folder / "two.log"))
        time.sleep(2)  # It is up, and has beaten.
        hit = time.monotonic()
        for pid in (workers[0].pid, *descendants(workers[0].pid)):
            os.kill(pid, number)
        again = place.with_suffix(".again")
        wait_for("the run after its worker died", again.exists, PATIENCE_S)
        return float(again.read_text()) - hit
    finally:
        for worker in workers:
            for pid in (worker.pid, *descendants(worker.pid)):
                os.kill(pid, signal.SIGCONT)
            end(worker)
        redis.close()

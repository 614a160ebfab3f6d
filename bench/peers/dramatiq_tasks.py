"""The program that dramatiq's workers import. Redis is named by DRAMATIQ_BENCH_REDIS.

By default one fetch of a thousand looks for dead workers, which in a quiet queue takes many
minutes; here each does, so that what is measured is its timeout.
"""

import os
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["DRAMATIQ_BENCH_REDIS"], maintenance_chance=1_000_000)
dramatiq.set_broker(broker)


@dramatiq.actor(time_limit=3_600_000)
def witness(place: str) -> None:
    """The first run says in which process it is, and stays; a later one says when it began."""
    began, first = time.monotonic(), Path(place)
    kept = first.with_suffix(".again") if first.exists() else first
    draft = kept.with_suffix(".draft")
    draft.write_text(str(began if first.exists() else os.getppid()))
    draft.rename(kept)
    if kept == first:
        time.sleep(3_000)

"""The program that taskiq's worker imports. The server is named by TASKIQ_BENCH_REDIS."""

import os

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ["TASKIQ_BENCH_REDIS"]
broker = RedisStreamBroker(URL).with_result_backend(RedisAsyncResultBackend(URL))


@broker.task(task_name="double")
async def double(number: int) -> int:
    """Twice the input."""
    return 2 * number

"""The program that huey's consumer imports. The file is named by HUEY_BENCH_FILE."""

import os

from huey import SqliteHuey

huey = SqliteHuey("bench", filename=os.environ["HUEY_BENCH_FILE"], fsync=True)


@huey.task()
def double(number: int) -> int:
    """Twice the input."""
    return 2 * number

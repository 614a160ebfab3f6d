"""One task at a time: from the submit to the checked result."""

import time
from pathlib import Path

from bench.contenders import Contender
from bench.figures import Row, Series, percentile, ratio
from bench.rounds import Budget, all_contenders, interleaved

WARM_UP = 50


def latency(budget: Budget) -> Row:
    """All contenders; p50 and p99 of each round."""

    def measure(contender: Contender, _folder: Path) -> list[float]:
        began = time.perf_counter()
        contender.singles(WARM_UP)
        each = (time.perf_counter() - began) / WARM_UP
        return contender.singles(max(100, min(1_000, int(budget.seconds / each))))

    found = interleaved(all_contenders(), budget.rounds, measure)
    series: list[Series] = []
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        for name, (rounds, why) in found.items():
            samples = tuple(1e3 * percentile(taken, share) for taken in rounds)
            series.append(Series(f"{name} {label}", "ms", samples, why))
    count = len(found)
    ratios = {
        f"to {series[at + other].name}": ratio(series[at], series[at + other])
        for at in (0, count)
        for other in range(1, count)
    }
    return Row("latency", "one task at a time, submit to checked result", tuple(series), ratios)

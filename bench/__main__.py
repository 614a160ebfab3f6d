"""`python -m bench [ROW...] [--json] [--seconds S] [--rounds N]`: measure and print.

Without a row all are measured. `--seconds` bounds what one contender may take in one round.
"""

import argparse
import sys
from collections.abc import Callable

from bench.bus import bus
from bench.candidates import candidates
from bench.dead_worker import dead_worker
from bench.density import density
from bench.faces import mcp_reads, stdio
from bench.failover import failover
from bench.figures import Row, as_json, text_of
from bench.gate import gate
from bench.latency import latency
from bench.machine import machine
from bench.pure import engine, matching
from bench.restart import restart
from bench.rounds import ROUNDS, Budget
from bench.throughput import throughput
from bench.wire import http_reads, tcp_reads, tcp_writes
from bench.wire_flat import flat

ROWS: dict[str, Callable[[Budget], Row]] = {
    "throughput-32": lambda budget: throughput(budget, 32),
    "throughput-256": lambda budget: throughput(budget, 256),
    "latency": latency,
    "matching": lambda budget: matching(budget.rounds),
    "engine": lambda budget: engine(budget.rounds),
    "restart": lambda budget: restart(budget.rounds),
    "failover": lambda budget: failover(),
    "dead-worker": lambda budget: dead_worker(budget.rounds),
    "agents-per-gib": lambda budget: density(),
    "gate": lambda budget: gate(budget.rounds),
    "candidates": lambda budget: candidates(budget.rounds),
    "tcp-reads": tcp_reads,
    "tcp-writes": tcp_writes,
    "http-reads": http_reads,
    "mcp-reads": mcp_reads,
    "stdio": stdio,
    "flat": flat,
    "bus": bus,
}


def main(arguments: list[str]) -> int:
    """Measure what was asked for. Returns 2 when a row is unknown."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--seconds", type=float, default=4.0, help="a contender in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tasks", type=int, default=5_000, help="at most, in a round")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; rows are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    budget = Budget(given.tasks, given.seconds, given.rounds)
    here = machine()
    if not given.json:
        print(", ".join(f"{name} {value}" for name, value in here.items()), flush=True)
    rows: list[Row] = []
    for name in given.rows or ROWS:
        row = ROWS[name](budget)
        rows.append(row)
        if not given.json:
            print("\n" + text_of(row), flush=True)
    if given.json:
        sys.stdout.buffer.write(as_json(here, rows) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A small command-line agent that does what its first words say, in the folder it is started in.

    python scripted_agent.py ACTION[,ACTION...] [GOAL]

It needs nothing but Python and git, and answers as tools do: with text, an exit code, and with
`report` as its first action, tokens and cost as one JSON object on the last line, in the form that
the profile `script` reads.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

GOOD = '''def limited(calls, most):
    """Whether a further call is too many."""
    return calls >= most
'''
BROKEN = "def limited(calls, most):\n    return calls > most\n"


def main() -> int:
    actions, goal = sys.argv[1].split(","), " ".join(sys.argv[2:])
    code = 0
    for action in actions:
        name, _, rest = action.partition(":")
        code = globals()[f"do_{name}"](rest, goal) or code
    return code


def do_say(rest: str, goal: str) -> None:
    print(rest or goal, flush=True)


def do_good(rest: str, goal: str) -> None:
    """Add the function that the accepted test of the sample asks for."""
    _append("shop/limits.py", GOOD)


def do_wordy(rest: str, goal: str) -> None:
    """The same with more lines than it takes."""
    _append("shop/limits.py", GOOD + "\n\n" + "\n".join(f"# remark {n}" for n in range(40)) + "\n")


def do_wrong(rest: str, goal: str) -> None:
    """Add one that the accepted test refuses."""
    _append("shop/limits.py", BROKEN)


def do_breaks(rest: str, goal: str) -> None:
    """Break a test that passed before, beside doing what was asked."""
    do_good(rest, goal)
    place = Path("shop/prices.py")
    place.write_text(place.read_text().replace("price * count", "price + count"))


def do_deletes(rest: str, goal: str) -> None:
    Path(rest).unlink()


def do_writes(rest: str, goal: str) -> None:
    """`writes:FILE=TEXT` sets a file."""
    name, _, text = rest.partition("=")
    place = Path(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text.replace("\\n", "\n") + "\n")


def do_replaces(rest: str, goal: str) -> None:
    """`replaces:FILE=OLD=NEW` replaces one text by another."""
    name, old, new = rest.split("=")
    place = Path(name)
    place.write_text(place.read_text().replace(old, new))


def do_commits(rest: str, goal: str) -> None:
    """Commit what is there with its own git."""
    _git("add", "--all")
    _git("commit", "--quiet", "-m", rest or "work of the agent")


def do_foreign(rest: str, goal: str) -> None:
    """Move a branch that is not its own."""
    _git("branch", "--force", rest or "main", _new_commit())


def do_head(rest: str, goal: str) -> None:
    """Leave its branch for another."""
    _git("checkout", "--quiet", "-b", rest or "elsewhere")


def do_tag(rest: str, goal: str) -> None:
    _git("tag", rest or "mine")


def do_stash(rest: str, goal: str) -> None:
    Path("README.md").write_text("stashed\n")
    _git("stash", "--quiet")


def do_outside(rest: str, goal: str) -> None:
    """Write where it may not; says how that went."""
    try:
        Path(rest).write_text("outside\n")
        print(f"wrote {rest}", flush=True)
    except OSError as error:
        print(f"could not write {rest}: {error}", flush=True)


def do_hangs(rest: str, goal: str) -> None:
    print("hanging", flush=True)
    time.sleep(3_600)


def do_sleeps(rest: str, goal: str) -> None:
    time.sleep(float(rest))


def do_waits(rest: str, goal: str) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 120
    while not Path(rest).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def do_floods(rest: str, goal: str) -> None:
    line = "x" * 1_023 + "\n"
    while True:
        sys.stdout.write(line)


def do_hogs(rest: str, goal: str) -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)))


def do_forks(rest: str, goal: str) -> None:
    """Leave a grandchild behind that ignores everything that can be ignored."""
    subprocess.Popen(
        [sys.executable, "-c", ("import signal,time\n"
         "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
         "time.sleep(3600)")],
        start_new_session=True,
    )  # fmt: skip


def do_fails(rest: str, goal: str) -> int:
    print("it did not work out", file=sys.stderr, flush=True)
    return int(rest or 3)


def do_refuses(rest: str, goal: str) -> int:
    """As a provider does for a key that it does not know; then goes on trying, as tools do."""
    print("API Error: 401 invalid x-api-key (authentication_error)", file=sys.stderr, flush=True)
    time.sleep(float(rest or 0))
    return 1


def do_throttled(rest: str, goal: str) -> int | None:
    """`throttled:TIMES:SECONDS`: answers 429 the first times, by a count kept in its home."""
    times, _, seconds = rest.partition(":")
    count = Path(os.environ["HOME"], "throttled")
    so_far = int(count.read_text()) if count.exists() else 0
    if so_far >= int(times or 1):
        return None
    count.write_text(str(so_far + 1))
    print(
        f"API Error: 429 rate_limit_error: too many requests, retry-after: {seconds or 1}",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    sys.exit(1)


def do_env(rest: str, goal: str) -> None:
    print(f"{rest}={os.environ.get(rest)}", flush=True)


def do_leaks(rest: str, goal: str) -> None:
    """`leaks:VARIABLE=FILE` writes the value of a variable into a file."""
    name, _, file = rest.partition("=")
    _append(file, f"GIVEN = {os.environ.get(name)!r}\n")


def do_files(rest: str, goal: str) -> None:
    """List its home."""
    home = Path(os.environ["HOME"])
    names = sorted(str(each.relative_to(home)) for each in home.rglob("*"))
    print("home: " + " ".join(names), flush=True)


def do_report(rest: str, goal: str) -> None:
    """`report:INPUT:OUTPUT:MICRODOLLARS`: tokens and cost, as the profile `script` reads them."""
    given, made, cost = ([*rest.split(":"), "", "", ""])[:3]
    usage = {"input_tokens": int(given or 0), "output_tokens": int(made or 0)}
    if cost:
        usage["cost_microdollars"] = int(cost)
    print(json.dumps({"usage": usage}), flush=True)


def _append(name: str, text: str) -> None:
    place = Path(name)
    before = place.read_text() if place.exists() else ""
    if text not in before:
        place.write_text(before + ("\n\n" if before else "") + text)


def _new_commit() -> str:
    tree = _git("rev-parse", "HEAD^{tree}")
    return _git("commit-tree", tree, "-p", "HEAD", "-m", "not mine to make")


def _git(*words: str) -> str:
    named = ("-c", "user.name=Scripted", "-c", "user.email=scripted@localhost")
    done = subprocess.run(["git", *named, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

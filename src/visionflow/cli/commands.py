"""The commands and their words. Each returns its exit code; what they do is done elsewhere."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from visionflow.cli.agents import agents_app
from visionflow.cli.answering import calls
from visionflow.cli.applying import APPLY_EXAMPLES, apply
from visionflow.cli.assisting import MCP_EXAMPLES, mcp
from visionflow.cli.auditing import audit_app
from visionflow.cli.chaos import CHAOS_EXAMPLES, chaos
from visionflow.cli.coding import NONE, CodingFlags, wish_of
from visionflow.cli.configuring import CONFIG_EXAMPLES, config
from visionflow.cli.demo import DEMO_EXAMPLES, demo
from visionflow.cli.doctor import DOCTOR_EXAMPLES, doctor
from visionflow.cli.effects import effects_app
from visionflow.cli.gating import GATE_EXAMPLES, gate
from visionflow.cli.serving import SERVE_EXAMPLES, serve
from visionflow.cli.tokens import token_app
from visionflow.cli.workspaces import workspace_app
from visionflow.domain.errors import UsageError

DEFAULT_OUT = Path(".visionflow/runs")
AGENTS_MAX, TASKS_MAX = 10_000, 100_000
MESH_AGENTS_MIN = 3
FLAG = Parameter(negative=())
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Out = Annotated[Path, Parameter(help="Where the folders of runs are.")]

RUN_EXAMPLES = """\
Examples:
  visionflow run "Audit this repository: security, quality, tests"
  visionflow run "Test and review this repository"
  visionflow run "How does the parser handle comments?" --playbook explain
  visionflow run "Audit this repository" --plan-only && visionflow run plan.yaml
  visionflow run "Review this repository" --workspace ~/src/project --json
  visionflow run --resume run_1795855550167 --out .visionflow/runs
  visionflow run "Test and review this repository" --server
  visionflow run "Add rate limiting" --agent 'claude -p {goal}' --candidates 3
  visionflow run "Add rate limiting" --agent 'codex exec {goal}' --accept 'pytest -k limit'
"""
RUNS_EXAMPLES = """\
Examples:
  visionflow runs
  visionflow runs --json | jq -r '.runs[0].run'
"""
SHOW_EXAMPLES = """\
Examples:
  visionflow show run_1795855550167
  visionflow show run_1795855550167 --json | jq .gates
"""
SIMULATE_EXAMPLES = """\
Examples:
  visionflow simulate --seeds 1000 --agents 20
  visionflow simulate --seed 417 --agents 20
  visionflow simulate --storm --agents 10000 --tasks 50000
  visionflow simulate --mesh --agents 1000
"""
COMPLETION_EXAMPLES = """\
Examples:
  visionflow completion bash > ~/.local/share/bash-completion/completions/visionflow
  visionflow completion zsh > ~/.zfunc/_visionflow
  visionflow completion fish > ~/.config/fish/completions/visionflow.fish
"""


def make_app() -> App:
    """The whole command line; calling it with words gives an exit code.

    Raises:
        CycloptsError: when called with words that are not understood.
        VisionFlowError: when called, whatever the command raises.
    """
    app = App(
        name="visionflow",
        help="Runs fleets of software agents: durable, confined, on this machine.",
        help_format="plaintext",
        help_epilogue=RUN_EXAMPLES + "\n`visionflow COMMAND --help` tells more of each.",
        version=_version,
        version_flags=("--version",),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    app.command(run, help_epilogue=RUN_EXAMPLES)
    app.command(gate, help_epilogue=GATE_EXAMPLES)
    app.command(apply, help_epilogue=APPLY_EXAMPLES)
    app.command(serve, help_epilogue=SERVE_EXAMPLES)
    app.command(mcp, help_epilogue=MCP_EXAMPLES)
    app.command(config, help_epilogue=CONFIG_EXAMPLES)
    app.command(doctor, help_epilogue=DOCTOR_EXAMPLES)
    app.command(token_app())
    app.command(audit_app())
    app.command(agents_app())
    app.command(workspace_app())
    app.command(effects_app())
    app.command(runs, help_epilogue=RUNS_EXAMPLES)
    app.command(show, help_epilogue=SHOW_EXAMPLES)
    app.command(demo, help_epilogue=DEMO_EXAMPLES)
    calls(app)
    app.command(simulate, help_epilogue=SIMULATE_EXAMPLES)
    app.command(chaos, help_epilogue=CHAOS_EXAMPLES)

    def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
        """Print the completion script of a shell.

        Parameters
        ----------
        shell
            Which shell it is for.
        """
        print(app.generate_completion(shell=shell))
        return 0

    app.command(completion, help_epilogue=COMPLETION_EXAMPLES)
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("visionflow")


def run(
    goal: str | None = None,
    /,
    *,
    workspace: Path | None = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
    playbook: Literal["audit", "test", "fix", "explain", "code"] | None = None,
    plan_only: Annotated[bool, FLAG] = False,
    trust: Annotated[bool, FLAG] = False,
    agents: Path | None = None,
    resume: Annotated[str | None, Parameter(negative=())] = None,
    server: Annotated[str | None, Parameter(negative=())] = None,
    no_progress: Annotated[bool, FLAG] = False,
    no_cache: Annotated[bool, FLAG] = False,
    coding: Annotated[CodingFlags, Parameter(name="*")] = NONE,
) -> int:
    """Do a job on a workspace, or go on with an interrupted one.

    The workspace is read, never written to. Ctrl-C stops gracefully, a second one at once.
    The last line then is the command that resumes. A killed orchestrator comes back by itself.

    Parameters
    ----------
    goal
        What to do, in words; or a plan.yaml to follow.
    workspace
        The folder to work on; the current one when not given.
    playbook
        How to do it: audit, test, fix, explain or code; chosen from the goal when not given. Code
        is what coding agents write: see --agent.
    plan_only
        Write plan.yaml into the current folder, print it, and run nothing.
    trust
        Run this folder's code also where nothing here can confine it. Remembered.
    agents
        An agents.yaml whose templates are used for the roles.
    resume
        Go on with this run: its name, or how its name begins.
    server
        Have a running server do it: HOST:PORT, or nothing for this user's own.
    no_progress
        Show nothing while it runs.
    no_cache
        Reuse nothing that earlier runs found in unchanged files.
    """
    from visionflow.cli.running import run_in_foreground
    from visionflow.cli.starting import Words, start, write_plan
    from visionflow.cli.terminal import say
    from visionflow.compose.job import find_run

    if resume is not None:
        asked = (goal, workspace, agents, playbook, server)
        given = any(word is not None for word in asked) or coding.given
        if given or trust or plan_only or no_cache:
            raise UsageError(
                "--resume goes on with a run as it was asked for; it takes no goal and, beside "
                "--out, --json and --no-progress, no other option.",
                hint="Start a new run for another job.",
            )
        return run_in_foreground(find_run(out, resume), as_json=json, progress=not no_progress)
    if goal is None:
        raise UsageError(
            "run needs a goal.", hint='Such as: visionflow run "Test and review this repository".'
        )
    if server is not None:
        if agents is not None or trust or plan_only or no_cache or out != DEFAULT_OUT:
            raise UsageError(
                "--agents, --trust, --out, --plan-only and --no-cache are the server's business.",
                hint="Start the server with them, or leave --server out.",
            )
        from visionflow.cli.handing import run_on_server

        return run_on_server(
            goal, workspace, playbook, server, coding, as_json=json, progress=not no_progress
        )
    words = Words(
        goal, workspace, out, trust, agents, playbook, not no_cache, not json, wish_of(coding)
    )
    if plan_only:
        return write_plan(words, json)
    folder = start(words)
    if not no_progress:
        say(f"Run {folder.run} in {folder.path}")
        say(folder.read_order().why)
    return run_in_foreground(folder, as_json=json, progress=not no_progress)


def runs(*, out: Out = DEFAULT_OUT, json: Json = False) -> int:
    """List runs, the newest first."""
    from visionflow.cli.listing import print_runs

    print_runs(out, json)
    return 0


def show(
    name: Annotated[str, Parameter(name="RUN")], /, *, out: Out = DEFAULT_OUT, json: Json = False
) -> int:
    """Print the report of a run, or how far it is.

    Parameters
    ----------
    name
        The run's name, or how it begins.
    """
    from visionflow.cli.listing import print_run

    print_run(out, name, json)
    return 0


def simulate(
    *,
    seeds: int | None = None,
    agents: int | None = None,
    tasks: int | None = None,
    seed: int | None = None,
    storm: Annotated[bool, FLAG] = False,
    votes: Annotated[bool, FLAG] = False,
    mesh: Annotated[bool, FLAG] = False,
    docs: Path | None = None,
    json: Json = False,
) -> int:
    """Run the engine in simulated worlds full of faults, and count what happened.

    A world that fails is named with the command that runs it again.

    Parameters
    ----------
    seeds
        How many worlds; 1 where it is not said.
    agents
        How many agents in each, at most 10,000; else 6.
    tasks
        How many tasks in each, at most 100,000; else 120.
    seed
        The first world's number; else 0.
    storm
        One world after the other in which two of a hundred attempts fail, and many
        workers die at once; prints how tasks flow and how often workers restart.
    votes
        Put so many worlds with planted wrong voters to each way of voting; prints how
        often each was wrong.
    mesh
        Let meshes of up to so many agents lose, gain and cut off some; prints what each
        agent sends, and how long it takes until all know.
    docs
        With --votes or --mesh: the folder of docs into whose page that is written.
    """
    from visionflow.cli.simulating import (
        Totals,
        meshes_and_print,
        simulate_and_print,
        storm_and_print,
        votes_and_print,
    )

    given = {"--seeds": seeds, "--agents": agents, "--tasks": tasks, "--seed": seed}
    given |= {"--storm": storm or None, "--mesh": mesh or None}
    for way, wanted, odd in (
        ("--votes", votes, ("--agents", "--tasks", "--seed", "--storm", "--mesh")),
        ("--mesh", mesh, ("--seeds", "--tasks", "--storm")),
    ):
        said = [name for name in odd if given[name] is not None]
        if wanted and said:
            raise UsageError(f"{said[0]} says nothing to {way}.", hint="Leave one of them out.")
    seeds, seed = 1 if seeds is None else seeds, seed or 0
    agents, tasks = 6 if agents is None else agents, 120 if tasks is None else tasks
    if min(seeds, agents, tasks) < 1 or seed < 0:
        raise UsageError("--seeds, --agents and --tasks are numbers from 1 on, --seed from 0 on.")
    if agents > AGENTS_MAX or tasks > TASKS_MAX:
        raise UsageError(
            f"A world has at most {AGENTS_MAX} agents and {TASKS_MAX} tasks.",
            hint="More worlds (--seeds) find more than larger ones.",
        )
    if docs is not None and not (votes or mesh):
        raise UsageError("--docs is for what --votes or --mesh shows.")
    if votes:
        return votes_and_print(seeds, docs, json)
    if mesh:
        if agents < MESH_AGENTS_MIN:
            raise UsageError(f"A mesh that loses some has at least {MESH_AGENTS_MIN} agents.")
        return meshes_and_print(agents, seed, docs, json)
    totals = Totals(seeds, agents, tasks, seed)
    if storm:
        return storm_and_print(totals, json, sys.stdout)
    return simulate_and_print(totals, json, sys.stdout)

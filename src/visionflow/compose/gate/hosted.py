"""The gate as agents may use it: in the process that hosts them, over files of the run's own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from visionflow.agents.base import GateRunner
from visionflow.ports.sandbox import Sandbox

if TYPE_CHECKING:
    from visionflow.agents.gate.results import GateResult


def gate_runner(open_sandbox: Callable[[], Sandbox]) -> GateRunner:
    """A gate that keeps nothing beyond the folders that it is given."""

    async def run(
        workspace: Path,
        base: str,
        *,
        state: Path,
        virtual_env: str | None,
        trusted: bool,
        tests_s: float,
        cache: str | None,
        on_stage: Callable[[str], None],
    ) -> "GateResult":
        # Only workers whose agents judge something pay for loading all of it.
        from visionflow.compose.gate.request import GateRequest
        from visionflow.compose.gate.running import run_gate

        request = GateRequest(
            workspace,
            base,
            all_if_none=True,
            cache=cache is not None,
            trusted=trusted,
            tests_s=tests_s,
            virtual_env=virtual_env,
            state=state,
            results=None if cache is None else Path(cache),
        )
        return await run_gate(request, open_sandbox(), on_stage)

    return run

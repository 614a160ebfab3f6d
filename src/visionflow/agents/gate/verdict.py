"""What fails a gate, one sentence each. What is not known fails nothing but where it is required.

- a finding that is new, on a changed line, at or above the threshold and not in the baseline;
- a test that is broken, lost, or newly flaky;
- coverage of the changed lines under the least that was asked for;
- no answer on tests, where one is required;
- a tool that did not look at all that changed, where that is required.
"""

from visionflow.agents.gate.results import GateResult


def reasons(
    result: GateResult,
    min_coverage: float | None,
    require_tests: bool,
    require_tools: bool = False,
) -> tuple[str, ...]:
    """Why it fails; nothing where it is clean."""
    found: list[str] = []
    if result.findings.new:
        found.append(f"{_count(len(result.findings.new), 'new finding')} on changed lines")
    tests = result.tests
    if tests is not None and tests.broken:
        found.append(f"{_count(len(tests.broken), 'test')} broken")
    if tests is not None and tests.lost:
        found.append(f"{_count(len(tests.lost), 'test')} lost")
    if tests is not None and tests.flaky:
        found.append(f"{_count(len(tests.flaky), 'test')} newly flaky")
    if tests is None and require_tests:
        found.append(f"tests are required: {result.tests_reason}")
    if require_tools:
        found += [f"tools are required: {each}" for each in result.unseen]
    percent = result.coverage.percent if result.coverage is not None else None
    if min_coverage is not None and percent is not None and percent < min_coverage:
        found.append(f"{percent:.1f} % of the changed lines ran, {min_coverage:g} % are asked for")
    return tuple(found)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")

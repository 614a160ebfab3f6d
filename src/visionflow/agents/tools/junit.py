"""junit.xml: pytest's own where it is whole, else one made from the results that were logged.

It tells of the first run of every test. Flaky ones are marked in it afterwards, in the form that
Surefire introduced: a `flakyFailure` or `flakyError` in place of the failure.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from visionflow.agents.tools.results import Case, Flaky
from visionflow.agents.tools.testlog import count
from visionflow.agents.tools.text import read_plain, write_whole

JUNIT_BYTES_MAX = 64 * 1024 * 1024
_ROUNDING_S = 0.01
_TAG = {"failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped"}

_FLAKY = {"failure": "flakyFailure", "error": "flakyError"}


def publish(theirs: Path | None, output: Path, cases: Iterable[Case], seconds: float) -> None:
    """Write `output` from the file pytest left, or from `cases` when there is no sound one.

    `seconds`: how long it all took.
    """
    content = theirs and read_plain(theirs, JUNIT_BYTES_MAX, linked=False)
    whole = content is not None and _is_sound(content, seconds)
    write_whole(output, content if content and whole else from_cases(cases, seconds))


def _is_sound(content: bytes, seconds: float) -> bool:
    """Whether it is whole and tells times that can be: tests that freeze clocks make others."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        times = [float(each.get("time", "0")) for each in fromstring(content).iter()]
    except (ElementTree.ParseError, ValueError, DefusedXmlException):
        return False
    return all(0 <= time <= seconds + _ROUNDING_S for time in times)


def from_cases(cases: Iterable[Case], seconds: float) -> bytes:
    """A JUnit file in pytest's form."""
    listed = list(cases)
    counts = count(listed)
    suite = ElementTree.Element("testsuite", {
        "name": "pytest", "tests": str(counts.total), "failures": str(counts.failed),
        "errors": str(counts.errors), "skipped": str(counts.skipped + counts.xfailed),
        "time": f"{seconds:.3f}",
    })  # fmt: skip
    for case in listed:
        place, name = address(case.id)
        facts = {"classname": place, "name": name, "time": f"{case.seconds:.3f}"}
        element = ElementTree.SubElement(suite, "testcase", facts)
        tag = _TAG.get(case.outcome)
        if tag is not None:
            said = ElementTree.SubElement(element, tag, {"message": case.summary})
            said.text = case.message
    root = ElementTree.Element("testsuites", {"name": "pytest tests"})
    root.append(suite)
    return _written(root)


def address(test: str) -> tuple[str, str]:
    """Class name and name that pytest writes for the test of this id."""
    plain, bracket, parameters = test.partition("[")
    file, *names = plain.split("::")
    parts = [re.sub(r"\.py$", "", file.replace("/", ".")), *names]
    return ".".join(parts[:-1]), parts[-1] + bracket + parameters


def mark_flaky(path: Path, flaky: Sequence[Flaky]) -> list[str]:
    """Mark the quarantined tests in the file at `path`, and give the ids that are not in it.

    Marking twice is as marking once.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    content = read_plain(path, JUNIT_BYTES_MAX) or b""
    try:
        root: ElementTree.Element = fromstring(content)
    except (ElementTree.ParseError, ValueError, DefusedXmlException):
        return [each.id for each in flaky]
    waiting = {address(each.id): each.id for each in flaky}
    for suite in root.iter("testsuite"):
        marked = 0
        for case in suite.iter("testcase"):
            place = (case.get("classname", ""), case.get("name", ""))
            if place in waiting and _quarantined(suite, case):
                marked += 1
        if marked:
            suite.set("flakes", str(marked))
    found = {
        (case.get("classname", ""), case.get("name", ""))
        for case in root.iter("testcase")
        if any(case.find(each) is not None for each in _FLAKY.values())
    }
    write_whole(path, _written(root))
    return sorted(name for place, name in waiting.items() if place not in found)


def _quarantined(suite: ElementTree.Element, case: ElementTree.Element) -> bool:
    """Rename the failures of a case and take them out of the suite's counts; whether it is one."""
    for tag, counter in (("failure", "failures"), ("error", "errors")):
        for bad in case.findall(tag):
            bad.tag = _FLAKY[tag]
            number = suite.get(counter, "")
            if number.isdecimal() and int(number):
                suite.set(counter, str(int(number) - 1))
    return any(case.find(each) is not None for each in _FLAKY.values())


def _written(root: ElementTree.Element) -> bytes:
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"

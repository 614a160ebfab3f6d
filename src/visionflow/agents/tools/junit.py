"""junit.xml: pytest's own where it is whole, else one made from the results that were logged."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from visionflow.agents.tools.results import Case
from visionflow.agents.tools.testlog import count
from visionflow.agents.tools.text import read_plain, write_whole

JUNIT_BYTES_MAX = 64 * 1024 * 1024
_ROUNDING_S = 0.01
_TAG = {"failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped"}


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
        folder, _, name = case.id.rpartition("::")
        place = folder.replace(".py", "").replace("/", ".").replace("::", ".")
        facts = {"classname": place, "name": name, "time": f"{case.seconds:.3f}"}
        element = ElementTree.SubElement(suite, "testcase", facts)
        tag = _TAG.get(case.outcome)
        if tag is not None:
            said = ElementTree.SubElement(element, tag, {"message": case.summary})
            said.text = case.message
    root = ElementTree.Element("testsuites", {"name": "pytest tests"})
    root.append(suite)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"

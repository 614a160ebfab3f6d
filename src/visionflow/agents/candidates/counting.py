"""Reads how many tests of a predicate passed, from JUnit files that its calls of pytest left."""

from pathlib import Path
from xml.etree import ElementTree

from visionflow.agents.candidates.values import Counted
from visionflow.agents.tools.text import read_plain

_FILES_MAX = 64
_BYTES_MAX = 16 * 1024 * 1024
_NOT_PASSED = ("failure", "error", "skipped")


def counted_in(folder: Path) -> Counted | None:
    """All files of the folder together; `None` where there is none, or one cannot be read."""
    files = [] if folder.is_symlink() else sorted(folder.glob("*.xml"))
    if not files or len(files) > _FILES_MAX:
        return None
    found = [_counted(each) for each in files]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    return Counted(
        sum(each.passed for each in known),
        sum(each.skipped for each in known),
        sum(each.total for each in known),
    )


def _counted(file: Path) -> Counted | None:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    content = read_plain(str(file), _BYTES_MAX, linked=False)
    if content is None:
        return None
    try:
        root: ElementTree.Element = fromstring(content)
    except (ElementTree.ParseError, ValueError, DefusedXmlException):
        return None
    # A test in which pytest.exit() is called stands there without a name.
    cases = [each for each in root.iter("testcase") if each.get("name")]
    passed = sum(all(each.find(tag) is None for tag in _NOT_PASSED) for each in cases)
    skipped = sum(each.find("skipped") is not None for each in cases)
    return Counted(passed, skipped, len(cases))

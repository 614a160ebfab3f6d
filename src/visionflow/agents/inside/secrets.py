"""Secrets in some text files, by detect-secrets; nothing is verified, and no secret is written.

Runs confined, by its file. Arguments: the detectors as JSON, the output file, then the files.
Writes for each file [[detector, line, short SHA-256, beginning of the SHA-1, the line with the
secret masked, the comment that allows it or null], ...], or why it could not be read.
"""

import hashlib
import json
import re
import sys
from typing import Any

_MASK = "****"
_COMMENT = re.compile(r"pragma: ?(?:allow|white)list[ -](?:nextline[ -])?secret", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"(?:your|my|some|the|a|an|new|old|fake|dummy|test|example|sample|default|change|insert|put)?"
    r"[\W_]*(?:pass(?:wo?r?d)?|pw|pwd|secret|token|api|key|user(?:name)?|me|here|value|example|"
    r"placeholder|none|null|true|false|undefined|foo|bar|baz|qux|x+|\*+|\.+|todo|redacted)"
    r"(?:[\W_]*(?:here|key|token|secret|password|value|me))?[\W_]*\d{0,3}",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[a-z]+(?:[ _./:-][a-z]+)*[.:!?]?|[A-Z]+(?:_[A-Z]+)*|[A-Z][a-z]+(?: [a-z]+)*")


def main() -> int:
    """Read all files."""
    detectors, output, *files = sys.argv[1:]
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.settings import (
        get_filters,  # pyright: ignore[reportUnknownVariableType]
        get_settings,
        transient_settings,
    )

    used = [{"name": name} for name in json.loads(detectors)]
    names = {k: v.__name__ for k, v in get_mapping_from_secret_type_to_class().items()}
    found: dict[str, Any] = {}
    with transient_settings({"plugins_used": used}):
        get_settings().disable_filters("detect_secrets.filters.allowlist.is_line_allowlisted")
        get_filters.cache_clear()
        for file in files:
            found[file] = _read(file, names)
    with open(output, "w", encoding="utf-8") as out:
        json.dump(found, out)
    return 0


def _read(name: str, names: dict[str, str]) -> "list[list[Any]] | str":
    from detect_secrets.core.scan import scan_file

    try:
        with open(name, "rb") as file:
            content = file.read()
    except OSError:
        return "cannot be read"
    if b"\0" in content[:8192]:
        return []
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return "not UTF-8"
    found: list[list[Any]] = []
    for each in scan_file(name):
        secret, number = each.secret_value or "", each.line_number
        detector = names.get(each.type, each.type)
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        if _is_placeholder(detector, secret):
            continue
        raw = secret.encode("utf-8", "surrogatepass")
        digests = hashlib.sha256(raw).hexdigest()[:8], hashlib.sha1(raw).hexdigest()[:10]
        shown = line.replace(secret, _MASK) if secret else line
        found.append([detector, number, *digests, shown, _allowed(name, lines, number)])
    return sorted(_distinct(found), key=str)


def _distinct(found: list[list[Any]]) -> list[list[Any]]:
    """What is known by its form needs no finding by its name as well."""
    known = {(each[1], each[2]) for each in found if each[0] != "KeywordDetector"}
    lines = {line for line, _ in known}
    return [each for each in found if each[0] != "KeywordDetector" or each[1] not in lines]


def _is_placeholder(detector: str, secret: str) -> bool:
    """Whether it only shows where a secret would stand; a name alone proves nothing."""
    if detector == "PrivateKeyDetector":
        return False
    if _PLACEHOLDER.fullmatch(secret) or secret.upper().endswith("EXAMPLE"):
        return True
    return detector == "KeywordDetector" and (
        len(secret) < 6 or bool(_WORDS.fullmatch(secret)) or "{" in secret or " " in secret
    )


def _allowed(name: str, lines: list[str], number: int) -> "str | None":
    from detect_secrets.filters.allowlist import is_line_allowlisted
    from detect_secrets.util.code_snippet import get_code_snippet

    if not 0 < number <= len(lines):
        return None
    context = get_code_snippet(lines, number)
    if not is_line_allowlisted(name, lines[number - 1].rstrip(), context):
        return None
    for line in (lines[number - 1], lines[number - 2] if number > 1 else ""):
        found = _COMMENT.search(line)
        if found is not None:
            return found[0]
    return "an allowlist comment"


if __name__ == "__main__":
    sys.exit(main())

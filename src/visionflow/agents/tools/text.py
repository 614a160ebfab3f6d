"""Text that strangers wrote, made safe to show and to store.

File names, test messages and tool output come from the repository under review. Nothing of it may
steer a terminal, break out of a Markdown table, or become HTML.
"""

import os
import re
import stat
from pathlib import Path

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MARKDOWN = re.compile(r"[\\`*_\[\]#|~>&<$@]|:(?=//)|(?<=www)\.")
"""What acts inside a line: emphasis, code, links, references, HTML, mathematics, bare addresses."""
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def clean(text: str) -> str:
    """`text` without escape sequences, control and direction characters; keeps tab and newline."""
    plain = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub("", plain).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, limit: int = 300) -> str:
    """`text` cleaned, on one line, and cut to `limit` characters with an ellipsis."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def tail(text: str, limit: int = 2_000) -> str:
    """The last `limit` characters of `text`, cleaned: where test failures say what happened."""
    plain = clean(text).strip()
    return plain if len(plain) <= limit else "…" + plain[1 - limit :]


def show_path(path: str) -> str:
    """A file name on one line, in which odd characters are visible instead of acting."""
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)
    return visible.encode("utf-8", "replace").decode("utf-8")


def markdown(text: str, limit: int = 300) -> str:
    """One line of Markdown that shows `text` literally: no markup, link, mention or HTML."""
    flat = one_line(text, limit)
    return _MARKDOWN.sub(lambda match: _HTML.get(match[0], "\\" + match[0]), flat)


def code(text: str) -> str:
    """`text` as an inline code span that it cannot close."""
    flat = one_line(text)
    longest = max((len(run) for run in re.findall(r"`+", flat)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") or not flat.strip() else ""
    return f"{fence}{pad}{flat}{pad}{fence}".replace("|", "\\|")


def code_block(text: str, indent: str = "", language: str = "text") -> str:
    """`text` as a fenced block that it cannot close."""
    plain = clean(text)
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = [fence + language, *plain.split("\n"), fence]
    return "\n".join(indent + line for line in lines)


def read_plain(path: str | Path, limit: int, *, linked: bool = True) -> bytes | None:
    """At most `limit` bytes of a file that strangers wrote; `None` when it is no plain file.

    A symbolic link, pipe or device in its place is neither followed nor waited for: it could name
    a file that the foreign code itself may not read. `linked=False` also refuses a file with a
    second name, for what a confined command left behind.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or (facts.st_nlink != 1 and not linked):
            return None
        return file.read(limit)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees all of it or the old file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(content)
    partial.replace(target)

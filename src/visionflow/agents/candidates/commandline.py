"""What a predicate's command line starts, as far as its words tell. Pure; nothing is run.

A script of a shell (`sh -c '...'`) is looked into as well. What its variables, its functions or a
Makefile start cannot be seen from here.
"""

import itertools
import os
import shlex

_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh"))
_INTERPRETERS = _SHELLS | {
    ".", "source", "python", "python3", "node", "deno", "bun", "ruby", "perl", "php",
}  # fmt: skip
_MAKES = frozenset(("make", "gmake"))
_PYTEST = frozenset(("pytest", "py.test"))
_READERS = frozenset(
    ("[", "awk", "cat", "cmp", "diff", "echo", "find", "grep", "head", "ls", "rg", "sed", "tail",
     "test", "which")
)  # fmt: skip
"""Programs whose words are what they look for or look at, and nothing that they start."""
_DEPTH_MAX = 3
_PUNCTUATION = frozenset("();<>|&")
_Words = tuple[str, ...]


def simple_commands(command: str, depth: int = 0) -> tuple[_Words, ...]:
    """Each program that the line starts with its words; nothing where it cannot be read."""
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=depth > 0)
        lexer.whitespace_split = True
        lexer.commenters = "#" if depth else ""
        tokens = list(lexer)
    except ValueError:
        return ()
    found: list[_Words] = []
    for words in _parted(tokens) if depth else [tuple(tokens)]:
        words = _without_prefix(words)
        script = _script(words)
        if script is not None and depth < _DEPTH_MAX:
            found += simple_commands(script.replace("\n", " ; "), depth + 1)
        elif words:
            found.append(words)
    return tuple(found)


def calls_pytest(command: str) -> bool:
    """Whether a word of it is pytest, started by name or as a module."""
    return any(_is_pytest(words) for words in simple_commands(command))


def scripts_in(command: str) -> frozenset[str]:
    """The paths, relative to where it starts, of what it executes: a script, a file of tests that
    pytest is given, a makefile. What it only reads is not among them."""
    found: set[str] = set()
    for words in simple_commands(command):
        program = os.path.basename(words[0])
        if "/" in words[0]:
            found.add(words[0])
        if program in _READERS:
            continue
        if _is_pytest(words) or "unittest" in words:
            found.update(word.partition("::")[0] for word in words[1:])
        elif program in _MAKES:
            found.update(_makefiles(words))
        elif program in _INTERPRETERS or program.startswith("python3."):
            found.update(_operand(words))
    named = {os.path.normpath(each) for each in found if each and not each.startswith("-")}
    return frozenset(each for each in named if each != "." and not each.startswith(("/", "..")))


def _is_pytest(words: _Words) -> bool:
    program = os.path.basename(words[0])
    return program not in _READERS and any(os.path.basename(each) in _PYTEST for each in words)


def _parted(tokens: list[str]) -> list[_Words]:
    """A shell's words, cut where another program begins."""
    parts: list[list[str]] = [[]]
    for each in tokens:
        if each and set(each) <= _PUNCTUATION:
            parts.append([])
        else:
            parts[-1].append(each)
    return [tuple(part) for part in parts if part]


def _without_prefix(words: _Words) -> _Words:
    """Without `env` and variables that are set for it."""
    while words and (words[0] == "env" or words[0].partition("=")[0].isidentifier()):
        if words[0] != "env" and "=" not in words[0]:
            break
        words = words[1:]
    return words


def _script(words: _Words) -> str | None:
    """What a shell is given after `-c`."""
    if not words or os.path.basename(words[0]) not in _SHELLS:
        return None
    for number, word in enumerate(words[1:-1], start=1):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and word.endswith("c"):
            return words[number + 1]
    return None


def _makefiles(words: _Words) -> list[str]:
    after = [b for a, b in itertools.pairwise(words) if a in ("-f", "--file")]
    return after + [word.partition("=")[2] for word in words if word.startswith("--file=")]


def _operand(words: _Words) -> list[str]:
    """The file that an interpreter is given; none where it gets a module or a text."""
    for word in words[1:]:
        if word in ("-c", "-m", "-e"):
            return []
        if not word.startswith("-"):
            return [word]
    return []

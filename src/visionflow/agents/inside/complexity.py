"""The cognitive complexity of each function of some files, by complexipy.

Runs confined, by its file. Arguments: the least complexity to tell of, the output file, the files.
Writes {file: [[name, complexity, first line, last line, hidden by a comment], ...] or why not}.
"""

import json
import sys
import tokenize
from typing import Any


def main() -> int:
    """Read all files; one that does not parse is told of in words."""
    least, output, *files = sys.argv[1:]
    found = {file: _functions(file, int(least)) for file in files}
    with open(output, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return 0


def _functions(name: str, least: int) -> "list[list[Any]] | str":
    from complexipy import code_complexity

    try:
        with tokenize.open(name) as file:
            text = file.read()
        every = code_complexity(text, no_ignore=True, with_plans=False).functions
        # What a comment hides is missing when comments are heeded.
        heeded = every
        if "complexipy" in text:
            heeded = code_complexity(text, no_ignore=False, with_plans=False).functions
    except (SyntaxError, UnicodeDecodeError):
        return "does not parse"
    except (ValueError, OSError) as error:
        return f"does not parse: {error}" if isinstance(error, ValueError) else "cannot be read"
    shown = {(each.name, each.line_start) for each in heeded}
    return [
        [each.name, each.complexity, each.line_start, each.line_end,
         (each.name, each.line_start) not in shown]
        for each in every
        if each.complexity >= least
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

"""`visionflow mcp`: the stdio server that a coding assistant starts."""

import asyncio
import os
import sys

from visionflow.cli.serving import NO_WORDS, Words

MCP_EXAMPLES = """\
Examples:
  claude mcp add visionflow -- visionflow mcp
  codex mcp add visionflow -- visionflow mcp
  visionflow mcp --workspace ~/src/project
"""


def mcp(*, words: Words = NO_WORDS) -> int:
    """Serve MCP to a coding assistant over standard input and output.

    It uses the server of this home when one runs, and is one itself when none
    does: then agents work while the assistant is there, and what is not finished
    goes on another time. A second assistant joins the first. It opens no port,
    prints nothing but MCP, and ends when its standard input does.
    docs/assistants.md has the lines for each assistant.
    """
    from visionflow.settings.origins import resolve

    settings = resolve(words.given(), os.environ, words.config).settings
    said, heard = _take_streams()
    from visionflow.compose.serve.assisting import assist

    try:
        asyncio.run(assist(settings, said, heard))
    except BrokenPipeError:
        pass  # The assistant is gone.
    finally:
        sys.stderr.flush()
    return 0


def _take_streams() -> tuple[int, int]:
    """Our output and input for ourselves. What anything else here prints goes to standard error,
    and what it reads is at its end: a line of somebody else's would be taken for a message."""
    said, heard = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return said, heard

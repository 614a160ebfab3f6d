"""`visionflow call` on the command line: its words go to `calling` as they are."""

from typing import Annotated

from cyclopts import App, Parameter

WORDS = Parameter(allow_leading_hyphen=True, show=False)
HELP = """\
Call a tool of a running server; without a tool, list them all.

What a tool takes is its own: `visionflow call TOOL --help`. JSON is printed when standard output
is no terminal.
"""


def calls(app: App) -> None:
    """Add the command."""
    from visionflow.cli.calling import CALL_EXAMPLES

    def call(*words: Annotated[str, WORDS]) -> int:
        """See HELP."""
        from visionflow.cli.calling import call as do_call

        return do_call(words)

    app.command(
        call, help=HELP, help_epilogue=CALL_EXAMPLES, help_flags=(), version_flags=(), name="call"
    )

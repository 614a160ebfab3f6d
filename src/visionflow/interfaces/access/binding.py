"""Whether a server may listen where its settings say, and what to tell whoever starts it."""

from visionflow.domain.errors import ConfigError
from visionflow.interfaces.access.peers import is_loopback
from visionflow.interfaces.access.tokens import Tokens
from visionflow.settings.server import ServerSettings


def may_bind(settings: ServerSettings, tokens: Tokens) -> None:
    """Whether anybody could use a server at its address.

    Raises:
        ConfigError: beyond loopback, and nobody could show a token; or the file of tokens has a
            fault.
    """
    host = settings.host
    valid = tokens.valid()
    if settings.allow_unauthenticated or host == "localhost" or is_loopback(host) or valid:
        return
    raise ConfigError(
        f"Nobody could use the server at {host or 'all addresses'}: beyond loopback a token is "
        "needed, and there is none.",
        hint="Make one with `visionflow token create NAME --role operator`, or listen on "
        "127.0.0.1. VISIONFLOW_ALLOW_UNAUTHENTICATED=1 serves whoever reaches the port.",
    )


def notices(settings: ServerSettings) -> list[str]:
    """What each start has to say of who may call."""
    if not settings.allow_unauthenticated:
        return []
    told = (
        "VISIONFLOW_ALLOW_UNAUTHENTICATED is set: whoever reaches the ports is served, with the "
        "role admin and without a token."
    )
    return [told]

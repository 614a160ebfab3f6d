"""Headers that keep web pages out: Host, Origin, and the content type of a body.

A page of a foreign origin can make a browser of our own user send requests to loopback, also under
a name of its own that it points there (DNS rebinding). The kernel says it is our user; these
headers, which a page cannot choose freely, say that it is a page.
"""

import re
from collections.abc import Iterable, Mapping

from visionflow.interfaces.access.peers import is_loopback, plain_host
from visionflow.interfaces.tools.faults import INVALID, Fault
from visionflow.settings.server import ServerSettings

LOOPBACK_NAMES = ("localhost", "ip6-localhost", "ip6-loopback")
CONTAINER = "multi-agent-container"
"""What the guide calls the server."""
ANYWHERE = ("", "0.0.0.0", "::")
_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")


class HeaderRules:
    """What is allowed; made once from the settings."""

    def __init__(self, settings: ServerSettings) -> None:
        named = [CONTAINER, *LOOPBACK_NAMES, *settings.allowed_hosts]
        if settings.host not in ANYWHERE:
            named.append(settings.host)
        self._hosts = frozenset(plain_host(_bare(each)).lower() for each in named)
        self._origins = frozenset(each.rstrip("/").lower() for each in settings.allowed_origins)

    def fault(self, headers: "Mapping[str, str] | Headers", has_body: bool) -> Fault | None:
        """What is wrong with a request, if anything. Names of headers are in small letters;
        `has_body`: it has one, or may have."""
        return (
            length_fault(headers)
            or self.host_fault(headers.get("host"))
            or self.origin_fault(
                headers.get("origin"), headers.get("host"), headers.get("sec-fetch-site")
            )
            or (self.body_fault(headers.get("content-type")) if has_body else None)
        )

    def host_fault(self, host: str | None) -> Fault | None:
        """421 for a name that is not ours: a page may have pointed it here."""
        name = plain_host(_bare(host or "")).lower()
        if name in self._hosts or is_loopback(name):
            return None
        return Fault(
            INVALID,
            421,
            f"This server does not go by the name {name[:100]!r}.",
            {
                "code": "host_refused",
                "hint": "Use 127.0.0.1 or localhost, or add the name to allowed_hosts.",
            },
        )

    def origin_fault(
        self, origin: str | None, host: str | None = None, site: str | None = None
    ) -> Fault | None:
        """403 for a page that is neither ours nor allowed. Programs send no Origin. `host`, which
        was checked, makes a page of this very address known; `site` is Sec-Fetch-Site."""
        if origin is None:
            if site in (None, "none", "same-origin"):
                return None
            origin = f"a foreign origin ({site})"
        else:
            named = origin.rstrip("/").lower()
            if named in self._origins or named == f"http://{(host or '').strip().lower()}":
                return None
        return Fault(
            INVALID,
            403,
            f"Pages of {origin[:100]!r} may not call this server.",
            {
                "code": "origin_refused",
                "hint": "Add the origin to allowed_origins if you trust all of its pages.",
            },
        )

    def body_fault(self, content_type: str | None) -> Fault | None:
        """415 unless it is JSON: a page may send other types without asking first."""
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return None
        return Fault(
            INVALID,
            415,
            f"The body is {kind[:100]!r}." if kind else "The body has no content type.",
            {"code": "not_json", "hint": "Send it with Content-Type: application/json."},
        )


def length_fault(headers: "Mapping[str, str] | Headers") -> Fault | None:
    """400 for a body whose length is told twice: a proxy may believe the one and we the other,
    and what we take for the next request would be somebody else's. The connection must end."""
    if headers.get("content-length") is None or headers.get("transfer-encoding") is None:
        return None
    return Fault(
        INVALID,
        400,
        "The request has both a Content-Length and a Transfer-Encoding.",
        {"code": "ambiguous_length", "hint": "Send one of them."},
    )


def closing(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The header that ends the connection, where a fault of headers asks for that."""
    return [(b"connection", b"close")] if fault.http == 400 else []


class Headers:
    """Headers of an ASGI request, by name. One that stands there twice counts as joined."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in raw:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            before = self._values.get(key)
            self._values[key] = text if before is None else f"{before}, {text}"

    def get(self, name: str) -> str | None:
        """The value of a header, `None` without one."""
        return self._values.get(name)


def _bare(host: str) -> str:
    """A Host header without its port."""
    found = _PORT.fullmatch(host.strip())
    name = host.strip() if found is None else found[1] or found[2]
    return name.rstrip(".")

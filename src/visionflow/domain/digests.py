"""Digests of what two ends should hold alike."""

from hashlib import sha256

import msgspec

from visionflow.domain.agents import AgentSpec


def spec_digest(spec: AgentSpec) -> str:
    """Of what an agent is to be built as: 32 hexadecimal digits."""
    return sha256(msgspec.msgpack.encode(spec)).hexdigest()[:32]


def digest_of(*parts: object) -> str:
    """Of plain values, in this order."""
    return sha256(msgspec.msgpack.encode(parts)).hexdigest()[:32]

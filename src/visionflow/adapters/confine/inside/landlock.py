"""Landlock: an unprivileged process gives up access to files, TCP ports and others' sockets.

Rules allow; whatever kind of access a ruleset handles and no rule allows is refused. Which kinds
exist depends on the kernel's ABI (1 to 7 are known here); newer kernels are used as ABI 7.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from . import kernel

ABI_KNOWN = 7
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BITS_BY_ABI = (0, 13, 14, 15, 15, 16, 16, 16)
_TCP_BIND_AND_CONNECT = 0b11
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

READ = _EXECUTE | _READ_FILE | _READ_DIR
LOOK = _READ_FILE | _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE | _READ_DIR | _TRUNCATE | _IOCTL_DEV
WRITE = ((1 << 16) - 1) & ~(_MAKE_CHAR | _MAKE_BLOCK)


def abi() -> int:
    """The usable ABI of this kernel, 0 where Landlock is missing or off."""
    found = kernel.syscall(_CREATE, None, 0, 1)
    return min(max(found, 0), ABI_KNOWN)


def restrict(version: int, rules: Iterable[tuple[str, int]], *, refuse_tcp: bool) -> None:
    """Hold this process and its children to `rules`, (path, access) each, for good.

    Raises:
        OSError: the kernel refused a step; nothing may be assumed then.
    """
    every = (1 << _BITS_BY_ABI[version]) - 1
    tcp = _TCP_BIND_AND_CONNECT if refuse_tcp and version >= 4 else 0
    scope = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", every, tcp, scope)[:size], size)
    ruleset = kernel.check(kernel.syscall(_CREATE, attributes, size, 0), "landlock ruleset")
    try:
        for path, access in rules:
            _allow(ruleset, path, access & every)
        kernel.forbid_new_privileges()
        kernel.check(kernel.syscall(_RESTRICT, ruleset, 0), "landlock restrict")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
        result = kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        kernel.check(result, f"landlock rule for {path!r}")
    finally:
        os.close(place)

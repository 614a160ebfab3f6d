"""A seccomp filter for machines without namespaces: it refuses the sockets Landlock lets through.

Landlock (to ABI 7) judges TCP `bind` and `connect` only. The filter therefore refuses sockets of
the unix family (a connect to a socket file needs no file access in Landlock's eyes), datagrams,
other stream protocols, TCP fast open, and io_uring, which would go round the filter. Socket pairs
stay possible. Where the command has the network, only the unix family and io_uring are refused.
"""

import os
import struct

from . import kernel

_ARCHITECTURES = {
    # machine: (audit number, socket, sendto, sendmsg, sendmmsg)
    "x86_64": (0xC000003E, 41, 44, 46, 307),
    "aarch64": (0xC00000B7, 198, 206, 211, 269),
}
_IO_URING_SETUP = 425
_X32_BIT = 0x40000000
_MSG_FASTOPEN = 0x20000000
_INET, _INET6, _NETLINK = 2, 10, 16
_STREAM, _TCP = 1, 6

_LOAD, _AND = 0x20, 0x54
_JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x15, 0x45, 0x06
_ALLOW = (_RETURN, 0, 0, 0x7FFF0000)
_REFUSE = (_RETURN, 0, 0, 0x00050000 | 13)
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4

_Instruction = tuple[int, int, int, int]


def usable() -> bool:
    return os.uname().machine in _ARCHITECTURES


def restrict(*, network: bool) -> None:
    """Install the filter for good. `forbid_new_privileges` must have been called."""
    program = b"".join(struct.pack("=HBBI", *each) for each in _program(network=network))
    kernel.install_filter(program)


def _argument(position: int) -> _Instruction:
    """Load the low half of an argument (little-endian machines)."""
    return (_LOAD, 0, 0, 16 + 8 * position)


def _program(*, network: bool) -> list[_Instruction]:
    audit, socket, sendto, sendmsg, sendmmsg = _ARCHITECTURES[os.uname().machine]
    rules: list[tuple[int, list[_Instruction]]] = [
        (_IO_URING_SETUP, [_REFUSE]),
        (socket, _open_socket() if network else _stream_socket()),
    ]
    if not network:
        rules += [(sendto, _fast_open(3)), (sendmsg, _fast_open(2)), (sendmmsg, _fast_open(3))]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, audit),
        _REFUSE,
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_ANY_BIT, 0, 1, _X32_BIT),
        _REFUSE,
    ]
    for number, body in rules:
        program.append((_JUMP_EQUAL, 0, len(body), number))
        program += body
    return [*program, _ALLOW]


def _open_socket() -> list[_Instruction]:
    """Any socket of the internet families, and netlink for the list of interfaces."""
    return [
        _argument(0),
        (_JUMP_EQUAL, 3, 0, _INET),
        (_JUMP_EQUAL, 2, 0, _INET6),
        (_JUMP_EQUAL, 1, 0, _NETLINK),
        _REFUSE,
        _ALLOW,
    ]


def _stream_socket() -> list[_Instruction]:
    """TCP, which Landlock judges, and the routing protocol of netlink, which only tells."""
    return [
        _argument(0),
        (_JUMP_EQUAL, 7, 0, _NETLINK),  # to the last look at the protocol
        (_JUMP_EQUAL, 1, 0, _INET),
        (_JUMP_EQUAL, 0, 8, _INET6),
        _argument(1),
        (_AND, 0, 0, 0xF),  # without the flags CLOEXEC and NONBLOCK
        (_JUMP_EQUAL, 0, 5, _STREAM),
        _argument(2),
        (_JUMP_EQUAL, 2, 1, _TCP),
        _argument(2),
        (_JUMP_EQUAL, 0, 1, 0),
        _ALLOW,
        _REFUSE,
    ]


def _fast_open(flags_at: int) -> list[_Instruction]:
    return [_argument(flags_at), (_JUMP_ANY_BIT, 0, 1, _MSG_FASTOPEN), _REFUSE, _ALLOW]

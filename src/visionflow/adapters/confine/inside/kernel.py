"""The system calls that Python lacks, by ctypes. Each raises OSError with the step's name."""

import ctypes
import os

NEWNS = 0x00020000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

_PDEATHSIG, _DUMPABLE, _SECCOMP, _BOUNDING_DROP = 1, 4, 22, 24
_SUBREAPER, _NO_NEW_PRIVS = 36, 38
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """Result of a raw system call; -1 with the errno kept when it failed."""
    values = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *values))


def check(result: int, step: str) -> int:
    """The result, or OSError naming the step where it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    check(result, f"mount {target!r}")


def make_read_only(target: str, *, below: bool = True) -> None:
    """This mount, and all below it, refuse writes and ignore set-user-id bits."""
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    result = syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(target),
        _AT_RECURSIVE if below else 0,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    check(result, f"make {target!r} read-only")


def enter_root(folder: str) -> None:
    """Make `folder` the root and drop the old one from this mount namespace."""
    os.chdir(folder)
    check(_libc.pivot_root(b".", b"."), "pivot_root")
    check(_libc.umount2(b".", ctypes.c_int(_MNT_DETACH)), "drop the old root")
    os.chdir("/")


def _prctl(option: int, value: object, step: str) -> None:
    argument = ctypes.c_ulong(value) if isinstance(value, int) else value
    zero = ctypes.c_ulong(0)
    check(_libc.prctl(ctypes.c_int(option), argument, zero, zero, zero), step)


def signal_at_parent_death(number: int) -> None:
    _prctl(_PDEATHSIG, number, "parent death signal")


def adopt_orphans() -> None:
    _prctl(_SUBREAPER, 1, "subreaper")


def forbid_new_privileges() -> None:
    _prctl(_NO_NEW_PRIVS, 1, "no new privileges")


def refuse_tracing() -> None:
    _prctl(_DUMPABLE, 0, "refuse tracing")


def drop_from_bounding_set(capability: int) -> bool:
    """Whether it is gone; a plain user may not, and needs not."""
    return _libc.prctl(ctypes.c_int(_BOUNDING_DROP), ctypes.c_ulong(capability), 0, 0, 0) == 0


def install_filter(instructions: bytes) -> None:
    """Load a seccomp program of 8-byte instructions for this process and its children."""
    code = ctypes.create_string_buffer(instructions, len(instructions))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    program = Program(len(instructions) // 8, ctypes.addressof(code))
    result = _libc.prctl(ctypes.c_int(_SECCOMP), ctypes.c_ulong(2), ctypes.byref(program), 0, 0)
    check(result, "seccomp filter")

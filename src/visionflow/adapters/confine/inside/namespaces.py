"""A world of its own for one command: user, network, process, ipc and mount namespaces.

Two steps in two processes. The launcher calls `enter`: it and its children are then in new
namespaces, the loopback device is up, and its children are in a new process namespace. The first
child calls `build_view`, in a mount namespace that it has alone, as the launcher must go on seeing
the machine's files: a root of its own is put together from bind mounts of exactly the folders
that the command was given, so that nothing else, socket files included, so much as has a name.
"""

import fcntl
import os
import stat
import struct
from _socket import AF_INET, SOCK_DGRAM, socket

from . import kernel

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_SET_INTERFACE_FLAGS, _UP = 0x8914, 0x1
_SHARED_MEMORY_PERCENT = 10


def enter(*, network: bool) -> None:
    """Move this process and its children to come into new namespaces.

    Raises:
        OSError: the kernel or its administrator refused a step.
    """
    flags = kernel.NEWUSER | kernel.NEWIPC | kernel.NEWPID
    if not network:
        flags |= kernel.NEWNET
    if os.geteuid() == 0:
        _enter_as_root(flags)
    else:
        user, group = os.geteuid(), os.getegid()
        kernel.unshare(flags)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    if not network:
        _raise_loopback()


def _enter_as_root(flags: int) -> None:
    """Keep every id that root has: files of others stay readable and `chown` works inside.

    A map of more than one id must be written from outside the new namespace: by a child that
    stays behind.
    """
    maps = {name: _same_ids(f"/proc/self/{name}") for name in ("uid_map", "gid_map")}
    unshared, tell = os.pipe()
    launcher = os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(tell)
            if os.read(unshared, 1):
                for name, text in maps.items():
                    _write(f"/proc/{launcher}/{name}", text)
                status = 0
        finally:
            os._exit(status)
    os.close(unshared)
    try:
        kernel.unshare(flags)
        os.write(tell, b".")
    finally:
        os.close(tell)
        _, status = os.waitpid(child, 0)
    if status != 0:
        raise OSError(1, "map user ids: not permitted")


def _same_ids(path: str) -> str:
    with open(path, encoding="ascii") as lines:
        rows = [line.split() for line in lines]
    return "\n".join(f"{first} {first} {count}" for first, _, count in rows)


def _write(path: str, text: str) -> None:
    place = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(place, text.encode("ascii"))
    finally:
        os.close(place)


def _raise_loopback() -> None:
    device = socket(AF_INET, SOCK_DGRAM)
    try:
        fcntl.ioctl(device, _SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    finally:
        device.close()


def build_view(scratch: str, read: list[str], write: list[str]) -> None:
    """Make the root of this process hold `read` (read-only), `write`, /tmp, /dev and /proc."""
    root = os.path.join(scratch, "root")
    private = os.path.join(scratch, "tmp")
    kernel.unshare(kernel.NEWNS)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    os.mkdir(root + "/tmp")
    kernel.mount(private, root + "/tmp", "", kernel.MS_BIND)
    for path, writable in _in_order(read, write):
        _show(root, path, writable=writable)
    _devices(root)
    os.makedirs(root + "/proc", exist_ok=True)
    quiet = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", root + "/proc", "proc", quiet)
    kernel.make_read_only(root, below=False)
    kernel.enter_root(root)
    os.umask(0o022)


def _in_order(read: list[str], write: list[str]) -> list[tuple[str, bool]]:
    """Each path with whether it is writable: parents first, so that children lie upon them.

    What lies below a writable folder is writable with it, as in Landlock, where rules add up.
    """
    writable = {os.path.normpath(each) for each in write}
    shown = dict.fromkeys(writable, True)
    for each in read:
        path = os.path.normpath(each)
        if not any(path == parent or path.startswith(parent + "/") for parent in writable):
            shown[path] = False
    return sorted(shown.items(), key=lambda item: item[0].count("/"))


def _show(root: str, path: str, *, writable: bool) -> None:
    if os.path.islink(path):
        real = os.path.realpath(path)
        _link(root, path)
        if not os.path.lexists(root + real):
            _show_real(root, real, writable=writable)
        return
    _show_real(root, path, writable=writable)


def _link(root: str, path: str) -> None:
    if not os.path.lexists(root + path):
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        os.symlink(os.readlink(path), root + path)


def _show_real(root: str, path: str, *, writable: bool) -> None:
    try:
        folder = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        if writable:
            raise
        return
    target = root + path
    if folder:
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    kernel.mount(path, target, "", kernel.MS_BIND | kernel.MS_REC)
    if not writable:
        kernel.make_read_only(target)


def _devices(root: str) -> None:
    os.makedirs(root + "/dev/shm", exist_ok=True)
    os.mkdir(root + "/dev/pts")
    for device in DEVICES:
        if os.path.exists(device):
            os.close(os.open(root + device, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            kernel.mount(device, root + device, "", kernel.MS_BIND)
    size = f"mode=1777,size={_SHARED_MEMORY_PERCENT}%"
    kernel.mount("shm", root + "/dev/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, size)
    own = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("devpts", root + "/dev/pts", "devpts", own, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", root + "/dev/ptmx")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        os.symlink(target, f"{root}/dev/{name}")
    os.symlink("fd/2", root + "/dev/stderr")

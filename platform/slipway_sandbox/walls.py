"""The walls around jailed code: namespaces, an empty file system, Landlock, no rights, limits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_APART = _NEWNS | _NEWCGROUP | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 0x40000, 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
#: Read-only, no set-user-id programs, no devices.
_MOUNT_ATTR = 0x1 | 0x2 | 0x4
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NOBODY = 65534

libc = ctypes.CDLL(None, use_errno=True)


def _asked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Bounds that hold even if everybody else is dead."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))


def leave() -> bool:
    """Into namespaces of one's own; False where the kernel does not let us. Children are inside."""
    user, group = os.geteuid(), os.getegid()
    if not libc.unshare(_APART):
        return True
    if libc.unshare(_NEWUSER | _APART):
        return False
    try:
        for name, text in (
            ("setgroups", "deny"),
            ("gid_map", f"{_NOBODY} {group} 1"),
            ("uid_map", f"{_NOBODY} {user} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is slow to load
                file.write(text)
    except OSError:
        return False
    return True


def empty_root(kept: list[str]) -> bool:
    """A root of nothing but the folders `kept`, read-only; False where the kernel does not let us.

    What lies in folders named site-packages below them is covered.
    """
    try:
        _asked(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
        flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
        trees = [
            (path, _asked(libc.syscall(_OPEN_TREE, _AT_FDCWD, path.encode(), flags), "open_tree"))
            for path in kept
        ]
        root = b"/tmp"  # any folder that is there; it is covered in this namespace only
        _asked(libc.mount(b"none", root, b"tmpfs", 0, b"size=64k,mode=755"), "mount")
        os.chdir(root)
        # Whoever started us may keep their files to themselves; these are for an ordinary user.
        os.umask(0o022)
        for path, tree in trees:
            inside = path.lstrip("/").encode()
            os.makedirs(inside, exist_ok=True)  # noqa: PTH103 - pathlib is slow to load
            _asked(
                libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, inside, _MOVE_MOUNT_F_EMPTY_PATH),
                "move_mount",
            )
            os.close(tree)
            packages = inside + b"/site-packages"
            if os.path.isdir(packages):  # noqa: PTH112 - likewise
                _asked(libc.mount(b"none", packages, b"tmpfs", 0, b"size=4k"), "mount")
        pivot = _PIVOT_ROOT[os.uname().machine]
        _asked(libc.syscall(pivot, b".", b"."), "pivot_root")
        _asked(libc.umount2(b".", _MNT_DETACH), "umount2")
        os.chdir("/")
        wish = struct.pack("QQQQ", _MOUNT_ATTR, 0, 0, 0)
        _asked(
            libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, wish, len(wish)),
            "mount_setattr",
        )
    except OSError:
        return False
    return True


def give_up_rights() -> None:
    """No user of anything, no capability."""
    # Refused to an ordinary user, who has no rights to give up.
    with contextlib.suppress(OSError):
        os.setgroups([])
    with contextlib.suppress(OSError):
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    head, none = struct.pack("II", 0x20080522, 0), bytes(24)
    _asked(libc.syscall(_CAPSET[os.uname().machine], head, none), "capset")


def landlock(kept: list[str]) -> bool:
    """No file may be opened but those below `kept`, to read; False where there is no Landlock."""
    # Asked for by Landlock and by seccomp: that no program it starts could have more rights.
    _asked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    # Rights over files grew with versions 2 (refer), 3 (truncate) and 5 (ioctl); then came TCP.
    rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    wish = struct.pack("QQQ", (1 << rights) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = libc.syscall(_LANDLOCK_CREATE, wish, size, 0)
    if rules < 0:
        return False
    for path in kept:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, folder)
        _asked(libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0), "landlock_add_rule")
        os.close(folder)
    _asked(libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)
    return True


def die_with_parent(parent: int) -> None:
    """Be killed with the process that forked this one."""
    _asked(libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "pdeathsig")
    # Inside a PID namespace of one's own the parent reads as 0, dead or alive.
    if os.getppid() not in {0, parent}:
        os._exit(1)

"""The seccomp filter: what of the kernel jailed code may ask for; everything else is EPERM.

An allow-list, so that a new system call of a new kernel is refused until somebody thinks about it.
No call that makes a process or thread, a socket, a signal to others, or a file is on it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

#: Name to number on x86-64 and on ARM64; 0 where the architecture has none.
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, 0), "fstat": (5, 80),
    "lstat": (6, 0), "poll": (7, 0), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, 0), "select": (23, 0), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "dup": (32, 23), "nanosleep": (35, 101), "getpid": (39, 172),
    "exit": (60, 93), "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, 0),
    "gettimeofday": (96, 169), "getrusage": (98, 165), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "sigaltstack": (131, 132), "gettid": (186, 178), "time": (201, 0), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "getrandom": (318, 278), "statx": (332, 291),
    "rseq": (334, 293), "faccessat2": (439, 439),
}  # fmt: skip
#: Machine to its place in the pairs above and its AUDIT_ARCH.
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_IOCTL, _FCNTL, _CLONE3 = (16, 29), (72, 25), (435, 435)
#: fcntl could otherwise have the kernel send signals to others (F_SETOWN): F_DUPFD, F_GETFD,
#: F_SETFD, F_GETFL, F_DUPFD_CLOEXEC.
_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _SECOND_ARGUMENT = 0, 4, 24
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
#: x86-64 answers to a second set of numbers (x32) from here on.
_X32 = 0x40000000


def known_machine() -> bool:
    """Whether the numbers of this machine's system calls are in the table."""
    return os.uname().machine in _MACHINES


def program() -> bytes:
    """The filter as the kernel reads it: instructions of 8 bytes."""
    place, arch = _MACHINES[os.uname().machine]
    told: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in sorted({pair[place] for name, pair in _ALLOWED.items()}):
        # 0 is `read` on x86-64 and io_setup, which nobody needs, on ARM64.
        if number or place == 0:
            told += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    told += [(_EQUAL, 0, 1, _IOCTL[place]), (_RETURN, 0, 0, _ERRNO | errno.ENOTTY)]
    # The C library then asks by the older call, and is refused.
    told += [(_EQUAL, 0, 1, _CLONE3[place]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    told += [(_EQUAL, 0, 1 + 2 * len(_FCNTL_COMMANDS), _FCNTL[place])]
    told += [(_LOAD, 0, 0, _SECOND_ARGUMENT)]
    for command in _FCNTL_COMMANDS:
        told += [(_EQUAL, 0, 1, command), (_RETURN, 0, 0, _ALLOW)]
    told += [(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    return b"".join(struct.pack("HBBI", *each) for each in told)


def confine(libc: ctypes.CDLL) -> None:
    """From here on this process asks for nothing else, for ever; OSError if that cannot be."""
    code = program()
    kept = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(kept))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")

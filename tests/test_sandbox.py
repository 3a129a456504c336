"""Graders in Python try to get out of their jail, in each way the kernel lets us build one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slipway_sandbox import python, walls
from slipway_sandbox.jails import Jails
from slipway_sandbox.python import GraderFault, NoJail, PythonGrader

LANDLOCK = walls.libc.syscall(444, None, 0, 1) >= 1
#: No rights of root but the one to map root, which no ordinary user needs for himself.
ORDINARY = (
    "import os, struct; few = struct.pack('6I', 1 << 31, 1 << 31, 0, 0, 0, 0); "
    "head = struct.pack('II', 0x20080522, 0); "
    "walls.libc.syscall(walls._CAPSET[os.uname().machine], head, few); "
)
#: What is done to the jailer before it builds: nothing; made ordinary, so that it needs a user
#: namespace; no namespaces at all, so that Landlock has to do; no Landlock.
WAYS = {
    "as it is": "",
    "an ordinary user": ORDINARY,
    "without namespaces": ORDINARY + "walls.leave = lambda: False; ",
    "by one who shares no files": "import os; os.umask(0o077); ",
    "without Landlock": "walls.landlock = lambda kept: walls.libc.prctl(38, 1, 0, 0, 0) != 0; ",
}


@pytest.fixture(params=WAYS)
def jail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without namespaces" and not LANDLOCK:
        pytest.skip("no Landlock: it needs Linux 5.13, with landlock among lsm=")
    before, main = python._ENTRY.rsplit("jail.main", 1)
    patch = f"from slipway_sandbox import walls; {WAYS[request.param]}"
    monkeypatch.setattr(python, "_ENTRY", f"{before}{patch}jail.main{main}")
    return str(request.param)


def graded(source: str, **limits: float) -> float:
    with PythonGrader(source, **limits) as grader:  # type: ignore[arg-type]
        return grader.grade({"output_text": "x"}, {"n": 1})


def fault(source: str, **limits: float) -> str:
    with pytest.raises(GraderFault) as told:
        graded(source, **limits)
    return str(told.value)


#: Expression that would be out, and the errors that tell it is not.
ESCAPES = {
    "a file of the host": "open('/etc/passwd').read()",
    "the platform's secrets": "open(SECRET).read()",
    "a list of files": "os.listdir('/').index('etc')",
    "folders above": "os.listdir('/../..').index('etc')",
    "processes": "open('/proc/self/environ').read()",
    "somebody else's memory": "open('/proc/1/mem', 'rb').read()",
    "a socket": "__import__('socket').socket()",
    "a Unix socket": "__import__('socket').socket(1)",
    "a pair of sockets": "__import__('socket').socketpair()",
    "a name looked up": "__import__('socket').create_connection(('example.com', 80), 1)",
    "a fork": "os.fork()",
    "a program": "os.execv('/bin/sh', ['sh'])",
    "a shell": "__import__('subprocess').run('id', shell=True)",
    "a thread": "__import__('threading').Thread(target=print).start()",
    "a file": "open('/x', 'w')",
    "a file in the standard library": "open(os.__file__, 'a')",
    "a file in memory": "os.memfd_create('x')",
    "a link": "os.symlink('/etc/passwd', '/x')",
    "a folder": "os.mkdir('/x')",
    "another root": "os.chroot('/proc/1/root')",
    "a signal to the parent": "os.kill(os.getppid() or PARENT, 9)",
    "a signal to all": "os.kill(-1, 9)",
    "a signal by fcntl": "__import__('fcntl').fcntl(0, 8, PARENT)",
    "root": "os.setuid(0)",
    "more memory": "__import__('resource').setrlimit(9, (-1, -1))",
    "a queue of work": "os.eventfd(0)",
}  # fmt: skip


def test_nothing_of_the_host_can_be_reached(jail: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.key"
    secret.write_text("secret")
    # What an ordinary user may read must be out of reach all the same.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    secret.chmod(0o644)
    tries = "".join(
        f"    try:\n        {code}\n        out.append({name!r})\n"
        "    except (OSError, RuntimeError, ValueError):\n        pass\n"
        for name, code in ESCAPES.items()
    )
    source = (
        f"import os\nSECRET, PARENT = {str(secret)!r}, {os.getpid()}\n"
        f"def grade(sample, item):\n    out = []\n{tries}"
        "    if out:\n        raise SystemExit(', '.join(out))\n    return 1\n"
    )
    assert graded(source) == 1
    assert not any(Path(f"/{name}").exists() for name in "x")


#: Number of a system call on x86-64 with arguments that would do something.
CALLS = {
    "socket": (41, 2, 1, 0), "ptrace": (101, 16, 1, 0, 0), "kill": (62, 1, 9),
    "clone": (56, 17, 0, 0, 0, 0), "fork": (57,), "vfork": (58,), "unshare": (272, 0x10000000),
    "mount": (165, 0, 0, 0, 0, 0), "keyctl": (250, 0, 0), "bpf": (321, 0, 0, 0),
    "io_uring": (425, 8, 0), "userfaultfd": (323, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "prctl": (157, 1, 0), "tgkill": (234, 1, 1, 9),
    "pidfd_open": (434, 1, 0), "setns": (308, 0, 0), "execveat": (322, -1, 0, 0, 0, 0),
    "init_module": (175, 0, 0, 0), "reboot": (169, 0, 0, 0, 0), "open_tree": (428, -100, 0, 1),
    "shmget": (29, 1, 4096, 0o1600), "inotify_init": (253,), "timer_create": (222, 0, 0, 0),
}  # fmt: skip


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
def test_the_kernel_refuses_what_python_is_not_asked_for(jail: str) -> None:
    """Straight at the kernel by ctypes: every call is EPERM, whatever its arguments."""
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"CALLS = {CALLS!r}\n"
        "def grade(sample, item):\n"
        "    seen = {n: (libc.syscall(*call), ctypes.get_errno()) for n, call in CALLS.items()}\n"
        "    let = {n: got for n, got in seen.items() if got != (-1, 1)}\n"
        "    if let:\n        raise SystemExit(str(let))\n    return len(seen)\n"
    )
    assert graded(source) == len(CALLS)
    # The second set of numbers and the 32-bit door end the process.
    assert "signal" in fault(
        "import ctypes\ndef grade(s, i):\n    return ctypes.CDLL(None).syscall(0x40000000 + 39)\n"
    )


def test_secrets_of_the_environment_do_not_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", "hush")
    source = (
        "import os\ndef grade(sample, item):\n"
        "    seen = [n for n in range(3, 64) if not _shut(n)]\n"
        "    return len(os.environ.get('SLIPWAY_SECRET_KEY', '')) + len(seen)\n"
        "def _shut(n):\n    try:\n        os.fstat(n)\n    except OSError:\n        return True\n"
    )
    with Path(__file__).open() as held:
        os.set_inheritable(held.fileno(), True)
        assert graded(source) == 0


LOOP = "def grade(s, i):\n    while True: "
STUBBORN = (
    "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\n"
)
#: What it does, and what is told of it.
BEYOND = [
    (LOOP + "pass", "longer than 1 seconds and was killed"),
    ("while True: pass", "longer than 1 seconds and was killed"),
    (STUBBORN + LOOP + "pass", "longer than 1 seconds and was killed"),
    ("def grade(s, i): return len(bytearray(10**10))", "MemoryError"),
    ("x = []\n" + LOOP + "x.append('y' * 10**6)", "MemoryError"),
    ("import os\n" + LOOP + "os.write(1, b'x' * 65536)", "wrote more than"),
    ("import os\ndef grade(s, i):\n    os.write(1, b'{}\\n{}\\n')\n    return 1", "wrote into"),
    ("import os\ndef grade(s, i): os.write(1, b'[' * 9999 + b'\\n')", "wrote into"),
    ("import ctypes\ndef grade(s, i): ctypes.string_at(0)", "signal 11"),
    ("import os\ndef grade(s, i): os._exit(7)", "status 7"),
    ("def grade(s, i): return grade(s, i)", "RecursionError"),
]  # fmt: skip


def test_time_memory_and_output_are_capped_and_the_jail_is_killed_whole() -> None:
    for source, told in BEYOND:
        # Short where the time itself is tried, long where a busy machine must not matter.
        assert told in fault(source, seconds=1 if "longer" in told else 30), source
    # What is printed is nobody's answer, however much it is.
    assert graded("def grade(s, i):\n    print('x' * 10**7)\n    return 1\n") == 1


@pytest.fixture
def process() -> Iterator[PythonGrader]:
    grader = PythonGrader("import time\ndef grade(s, i):\n    time.sleep(60)\n", seconds=60)
    yield grader
    grader.close()


def test_nothing_is_left_when_whoever_asked_is_gone(process: PythonGrader) -> None:
    """Both end when the pipe of questions is closed, as it is when its owner is killed."""
    process.start()
    inside = process._process
    assert inside is not None
    assert inside.stdin is not None
    inside.stdin.write(b'{"sample": {}, "item": {}}\n')
    (jailed,) = Path(f"/proc/{inside.pid}/task/{inside.pid}/children").read_text().split()
    inside.stdin.close()
    assert inside.wait(timeout=20) == 128 + 9
    assert not Path(f"/proc/{jailed}").exists()


def test_a_machine_that_cannot_wall_it_in_does_not_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = "walls.leave = lambda: False; walls.landlock = lambda kept: False; "
    before, main = python._ENTRY.rsplit("jail.main", 1)
    entry = f"{before}from slipway_sandbox import walls; {patch}jail.main{main}"
    monkeypatch.setattr(python, "_ENTRY", entry)
    with pytest.raises(NoJail, match="neither namespaces for this user nor Landlock"):
        graded("def grade(s, i): return 1")
    monkeypatch.setattr(
        python, "_ENTRY", entry.replace(patch, "walls.libc.prctl = lambda *a: -1; ")
    )
    with pytest.raises(NoJail):
        graded("def grade(s, i): return 1")


def test_the_standard_library_is_there_and_lasts_from_call_to_call() -> None:
    source = (
        "import datetime, decimal, difflib, json, math, re, statistics, zoneinfo\ncalls = 0\n"
        "def grade(sample, item):\n    global calls\n    calls += 1\n"
        "    datetime.datetime.strptime('2026-01-01', '%Y-%m-%d')\n"
        "    'ü'.encode('latin-1').decode('cp1252')\n"
        "    return decimal.Decimal(calls)\n"
    )
    with PythonGrader(source) as grader:
        assert [grader.grade({}, {}) for _ in range(3)] == [1, 2, 3]
    assert "returned str, not a number" in fault("def grade(s, i): return '1'")
    assert "not a finite number" in fault("def grade(s, i): return float('nan')")
    assert "defines no function grade" in fault("x = 1")
    assert "No module named 'django'" in fault("import django")
    # What a database would not take is told by its escape, though it went around its errors.
    assert "half \\ud800 and \\x00" in fault(
        "def grade(s, i): raise ValueError('half \\ud800 and \\x00')"
    )
    told = r"""b'{"error": "half \\ud800 and \\u0000"}\n'"""
    around = f"import os\ndef grade(s, i):\n    os.write(1, {told})\n    os._exit(0)\n"
    assert fault(around) == "half \\ud800 and \\x00"
    assert 'grader.py", line 2, in grade' in fault("def grade(s, i):\n    return s['none']\n")


def test_several_threads_share_graders_and_a_dead_one_is_replaced() -> None:
    source = "import os\ndef grade(s, i): return i['n'] if i['n'] else os._exit(1)\n"

    def one(n: int) -> float | str:
        try:
            return jails.grade(source, {}, {"n": n})
        except GraderFault as error:
            return str(error)

    with Jails() as jails, ThreadPoolExecutor(3) as pool:
        found = list(pool.map(one, [1, 0, 2, 3, 0, 4]))
    assert [n for n in found if isinstance(n, float)] == [1, 2, 3, 4]
    assert found.count("it ended its own process with status 1") == 2

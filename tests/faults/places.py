"""Where faults are injected: control groups of the test's own, small file systems, and what may be left of a root."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Long enough for a machine that does other things, too; nothing is asserted about how long it took.
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so; fail with the sentence where it never comes about."""
    looked_s = time.monotonic()
    ends_s = looked_s + PATIENCE_S
    while not condition():
        now_s = time.monotonic()
        if now_s >= ends_s:
            pytest.fail(f"it did not come about that {what}")
        # A look that takes long, such as one by a program, is not what the machine should be busy with.
        time.sleep(max(0.02, 2 * (now_s - looked_s)))
        looked_s = time.monotonic()


class Cpuset:
    """A cpuset of the test's own, in whichever hierarchy this machine has; programs are started inside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that have it run in here."""
        return ("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.folder))

    def allow(self, *cpus: int) -> None:
        """Have the cpuset hold these CPUs and no others."""
        (self.folder / "cpuset.cpus").write_text(",".join(map(str, cpus)))


@contextmanager
def cpuset_of(*cpus: int) -> Iterator[Cpuset]:
    """Make a cpuset of these CPUs and remove it; fail where this machine lets nobody make one."""
    parent = _cpuset_parent()
    folder = parent / f"virt-launcher-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.fail(f"the faults of a cpuset need a control group of their own: {folder}: {error.strerror}")
    try:
        if (parent / "cpuset.mems").exists() and "cgroup2" not in _type_of(parent):
            (folder / "cpuset.mems").write_text((parent / "cpuset.mems").read_text())
        cpuset = Cpuset(folder)
        cpuset.allow(*cpus)
        yield cpuset
    finally:
        _remove_group(folder)


def _remove_group(folder: Path) -> None:
    """Remove a control group as soon as all that ran in it is gone: in version 2 a zombie counts that nobody sees."""

    def removed() -> bool:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    wait_until(removed, f"everything in {folder} has ended")


def _cpuset_parent() -> Path:
    """Find the folder below which a cpuset can be made: the own group in version 1, an ancestor in version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if "cpuset" in controllers.split(","):
            return _mounted("cgroup", "cpuset", path)
    return _handing_on("cpuset", "the faults of a cpuset need")


def _handing_on(controller: str, who_needs: str) -> Path:
    """Find the own group of version 2 or the nearest ancestor that hands the controller on to its children."""
    own = _mounted("cgroup2", "", Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip())
    for folder in (own, *own.parents):
        control = folder / "cgroup.subtree_control"
        if control.exists() and controller in control.read_text().split():
            return folder
    pytest.fail(f"{who_needs} a control group that hands on the controller {controller}, none above {own}")


def _mounted(filesystem: str, option: str, path: str) -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, kind, options, *_rest = line.split()
        if kind == filesystem and (not option or option in options.split(",")):
            inside = Path(point) / path.lstrip("/")
            return inside if inside.exists() else Path(point)
    pytest.fail(
        f"the faults of a cpuset need control groups, and no {filesystem} with {option or 'cpusets'} is mounted"
    )


def _type_of(folder: Path) -> str:
    return "cgroup2" if (folder / "cgroup.controllers").exists() else "cgroup"


@contextmanager
def quota_group(cpus: float) -> Iterator[Cpuset]:
    """Make a control group with a quota of so many CPUs' time in each period, and remove it."""
    parent = _quota_parent()
    folder = parent / f"virt-launcher-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.fail(f"the quota needs a control group of its own: {folder}: {error.strerror}")
    try:
        if _type_of(parent) == "cgroup2":
            (folder / "cpu.max").write_text(f"{int(cpus * 100_000)} 100000")
        else:
            (folder / "cpu.cfs_quota_us").write_text(str(int(cpus * 100_000)))
        yield Cpuset(folder)
    finally:
        _remove_group(folder)


def _quota_parent() -> Path:
    """Find the folder below which a quota can be set: the top of version 1, an ancestor in version 2."""
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    if any("cpu" in line.split(":", 2)[1].split(",") for line in groups):
        return _mounted("cgroup", "cpu", "")
    return _handing_on("cpu", "the quota needs")


@contextmanager
def small_filesystem(folder: Path, size: str, *options: str) -> Iterator[Path]:
    """Mount a tmpfs of this size over the folder and unmount it; fail where this user may not mount."""
    folder.mkdir(exist_ok=True)
    words = ",".join((f"size={size}", "mode=0700", *options))
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", words, "vl-test", str(folder)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.fail(f"the faults of a full disk need a small file system: {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the file system below this folder up to its last byte, or but for so many; return the file that does."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            if leave:
                file.truncate(max(file.tell() - leave, 0))
    return path


def running_below(root: Path) -> list[int]:
    """Return the processes, other than this one, whose command line names this root."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(root).encode() in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def qemu_below(root: Path) -> int | None:
    """Return the QEMU of this root, which may just be starting, None without one; more than one is a failure."""
    found = [pid for pid in running_below(root) if _is_qemu(pid)]
    assert len(found) <= 1, f"two QEMUs work over one root: {found}"
    return found[0] if found else None


def _is_qemu(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].endswith(b"qemu-system-x86_64")
    except OSError:
        return False


def left_below(root: Path) -> list[str]:
    """Say what a run has left over this root: processes, sockets, pid files, the state of a domain, a held lock."""
    left = [f"process {pid}" for pid in running_below(root)]
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if name.startswith("cache/") or name == "run/qemu/driver.pid":
            # libvirt's cache is to stay, and the pid file of its driver is one file for good.
            continue
        if path.is_socket() or path.suffix in (".pid", ".xml", ".new"):
            left.append(name)
    if (root / "launcher.lock").exists() and _is_locked(root / "launcher.lock"):
        left.append("launcher.lock is held")
    return left


def _is_locked(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def kill_all(pids: list[int]) -> None:
    """Kill these processes, as far as they are still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue

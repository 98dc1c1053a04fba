"""The launcher's root: its layout, its lock, and what is said where it cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import HypervisorError, UsageError
from launcher.hypervisor.process import find_qemu
from launcher.hypervisor.root import LauncherRoot, _of_others, hugetlbfs_mounts
from tests.processes import OPEN_CHECKOUT


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for unix sockets, removed by the test's end."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_the_root_holds_a_configuration_that_keeps_qemu_in_the_container(short: Path) -> None:
    root = LauncherRoot(short / "root")
    lines = (short / "root/etc/qemu.conf").read_text().splitlines()
    root.close()
    wanted = {
        "cgroup_controllers = []",
        "namespaces = []",
        'stdio_handler = "file"',
        "remember_owner = 0",
        "dynamic_ownership = 0",
    }
    assert wanted <= set(lines)
    assert ('user = "+0"' in lines) is (os.geteuid() == 0)


def test_the_uri_quotes_what_a_uri_cannot_hold(short: Path) -> None:
    root = LauncherRoot(short / "a b&c")
    root.close()
    assert root.uri == f"qemu:///embed?root={short}/a%20b%26c"


def test_a_second_launcher_over_one_root_is_refused_and_told_who_has_it(short: Path) -> None:
    first = LauncherRoot(short)
    with pytest.raises(HypervisorError, match=rf"another launcher \(pid {os.getpid()}\) works over this root"):
        LauncherRoot(short)
    first.close()
    LauncherRoot(short).close()


def test_a_root_too_long_for_unix_sockets_is_a_usage_error_with_both_lengths(short: Path) -> None:
    with pytest.raises(UsageError, match=r"the path is \d+ bytes long, at most \d+ leave room"):
        LauncherRoot(short / ("x" * 60))


def test_a_root_that_cannot_be_made_is_named(short: Path) -> None:
    (short / "file").write_text("")
    with pytest.raises(HypervisorError, match=rf"{short}/file/root.*: Not a directory; --root needs a writable folder"):
        LauncherRoot(short / "file" / "root")


def test_mounts_of_huge_pages_are_found_among_the_others() -> None:
    mounts = (
        "proc /proc proc rw 0 0\n"
        "none /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n"
        "hugetlbfs /etc tmpfs rw 0 0\n"
        "none /mnt/a\\040b hugetlbfs rw 0 0\n"
        'none /mnt/"quoted hugetlbfs rw 0 0\n'
        "none /mnt/1G hugetlbfs rw,pagesize=1024M 0 0\n"
        "cut"
    )
    assert hugetlbfs_mounts(mounts) == ("/dev/hugepages", "/mnt/1G")


def test_a_user_other_than_root_is_told_of_the_huge_pages_that_it_can_write(short: Path) -> None:
    mounts = f"none {short} hugetlbfs rw 0 0\nnone /nonexistent hugetlbfs rw 0 0\n"
    assert _of_others(mounts) == f'hugetlbfs_mount = ["{short}"]\n'
    assert _of_others("none /nonexistent hugetlbfs rw 0 0\n") == ""


def _left_by_qemu(root: Path) -> list[Path]:
    """Lay out what a QEMU leaves behind when it dies."""
    names = (
        "run/qemu/d.pid",
        "run/qemu/d.xml",
        "run/qemu/d.xml.new",
        "run/serial0.sock",
        "lib/qemu/domain-1-d/monitor",
    )
    left = [root / name for name in names]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return left


def test_what_a_dead_qemu_left_is_removed_and_logs_and_caches_stay(short: Path) -> None:
    root = LauncherRoot(short)
    left = _left_by_qemu(short)
    kept = [short / "log/qemu.log", short / "run/qemu/driver.pid"]
    for path in kept:
        path.write_text("")
    root.close()
    assert ([path.exists() for path in left], [path.exists() for path in kept]) == ([False] * 5, [True] * 2)


# What a process does that ends with its root; meanwhile a thread of libvirt's writes once more, and would again.
_ENDS = """
import select, sys
from pathlib import Path
from launcher.hypervisor.root import LauncherRoot
from launcher.last import do_last, expect_the_end
expect_the_end()
root = LauncherRoot(Path(sys.argv[1]))
records = [Path(sys.argv[1], "run/qemu", name) for name in ("g.xml", "g.xml.new")]
records[0].parent.mkdir(parents=True, exist_ok=True)
records[0].touch()
root.close()
print(records[0].exists())
try:
    LauncherRoot(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__)
for record in records:
    record.touch()
do_last()
try:
    records[0].touch()
except OSError as error:
    print(error.strerror)
waiting = select.poll()
for descriptor in range(3, 40):
    waiting.register(descriptor)
waiting.poll(0)
"""


def test_nothing_is_left_that_libvirt_writes_while_the_process_ends(short: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _ENDS, str(short)], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["False", "HypervisorError", "Too many open files"]
    assert not list((short / "run/qemu").iterdir())
    LauncherRoot(short).close()


def test_what_a_start_left_that_was_cut_short_is_removed_before_libvirt_believes_it(short: Path) -> None:
    left = _left_by_qemu(short)
    LauncherRoot(short).close()
    assert [path.exists() for path in left] == [False] * 5


def test_what_a_living_qemu_needs_stays_for_the_next_launcher(short: Path) -> None:
    left = _left_by_qemu(short)
    command = [sys.executable, "-c", "import time; time.sleep(60)", f"-object=file={short}/lib/qemu/domain-1-d/key"]
    with subprocess.Popen(command) as living:
        while str(short) not in Path(f"/proc/{living.pid}/cmdline").read_text():
            # The fork has its parent's command line until it becomes the other program.
            time.sleep(0.01)
        LauncherRoot(short).close()
        living.kill()
    assert all(path.exists() for path in left)


def test_a_socket_stays_at_which_a_daemons_qemu_listens_and_one_that_nobody_has_goes(short: Path) -> None:
    left = _left_by_qemu(short)
    with socket.socket(socket.AF_UNIX) as console:
        console.bind(str(short / "run/serial0-qemu.sock"))
        console.listen(1)
        LauncherRoot(short).close()
        assert (short / "run/serial0-qemu.sock").exists()
    assert not any(path.exists() for path in left)
    LauncherRoot(short).close()
    assert not (short / "run/serial0-qemu.sock").exists()


@pytest.mark.parametrize(
    ("program", "stays"),
    [("qemu-system-x86_64\0-name\0guest=n_a,debug-threads=on\0-fw_cfg", True), ("qemu-img\0create", False)],
    ids=["a daemon's QEMU", "qemu-img"],
)
def test_files_that_a_daemons_qemu_names_stay_for_the_next_launcher(short: Path, program: str, *, stays: bool) -> None:
    made = short / "storage/n_a/data.ign"
    made.parent.mkdir(parents=True)
    made.write_text("{}")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleep, *program.split("\0"), f"name=opt/com.coreos/config,file={made}"]) as living:
        while str(short) not in Path(f"/proc/{living.pid}/cmdline").read_text():
            time.sleep(0.01)
        LauncherRoot(short).close()
        living.kill()
    assert made.exists() == stays


def test_a_qemu_that_was_only_asked_what_it_can_do_is_ended_by_the_next_launcher(short: Path) -> None:
    left = _left_by_qemu(short)
    folder = short / "lib/qemu/qmp-ABC"
    folder.mkdir()
    words = ("-machine", "none,accel=kvm:tcg", "-qmp", f"unix:{folder}/qmp.monitor,server=on,wait=off")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words]) as probe:
        while str(short) not in Path(f"/proc/{probe.pid}/cmdline").read_text():
            time.sleep(0.01)
        LauncherRoot(short).close()
        assert probe.wait() == -signal.SIGKILL
    assert not folder.exists()
    assert [path.exists() for path in left] == [False] * 5


OTHER = 65534


@pytest.mark.parametrize(
    ("owner", "mode", "words"),
    [
        (OTHER, 0o700, f"belongs to user {OTHER}, and this is user 0"),
        (0, 0o777, "can be written by others (mode 0777)"),
        (0, 0o722, "can be written by others (mode 0722)"),
    ],
    ids=["somebody else's", "everybody's", "everybody's who knows a name"],
)
@pytest.mark.parametrize("name", ["", "etc", "log", "storage"], ids=["the root", "etc", "log", "storage"])
def test_a_root_that_is_not_this_users_own_is_refused(
    short: Path, name: str, owner: int, mode: int, words: str
) -> None:
    short.chmod(0o755)
    folder = short / name
    folder.mkdir(exist_ok=True)
    os.chown(folder, owner, 0)
    folder.chmod(mode)
    with pytest.raises(HypervisorError) as refusal:
        LauncherRoot(short)
    assert str(refusal.value).startswith(f"{folder} {words}; give the launcher a --root of its own")


def test_a_root_in_which_everybody_may_make_what_stays_his_is_used(short: Path) -> None:
    short.chmod(0o1777)
    LauncherRoot(short).close()


_IN_A_POD = """
"$3"
mount --bind "$1/volumes/root" "$1/root"
mkdir -p "$1/root/cache"
mount --bind "$1/volumes/cache" "$1/root/cache"
exec setpriv --reuid 107 --regid 107 --clear-groups "$2" -c '
import sys
from pathlib import Path
from launcher.hypervisor.root import LauncherRoot
LauncherRoot(Path(sys.argv[1])).close()
' "$1/root"
"""


def test_a_cache_that_the_kubelet_mounted_of_the_same_file_system_is_used(short: Path) -> None:
    """All emptyDirs of a Pod are bind mounts of the node's one file system: root's, and everybody may write them."""
    for folder in ("volumes/root", "volumes/cache"):
        (short / folder).mkdir(parents=True)
        (short / folder).chmod(0o2777)
    (short / "root").mkdir()
    short.chmod(0o755)
    words = ["unshare", "--mount", "sh", "-euc", _IN_A_POD, "sh", str(short), sys.executable, str(OPEN_CHECKOUT)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (short / "volumes/root/etc/qemu.conf").exists()


def test_a_cache_that_is_no_mount_is_this_users_own_or_refused(short: Path) -> None:
    (short / "cache").mkdir()
    (short / "cache").chmod(0o777)
    short.chmod(0o755)
    with pytest.raises(HypervisorError, match="cache can be written by others"):
        LauncherRoot(short)


@pytest.mark.parametrize(
    "name",
    ["launcher.lock", "etc", "log", "etc/qemu.conf", "etc/qemu.new", "log/libvirt.log", "run/qemu", "storage"],
)
def test_a_link_below_the_root_is_not_followed(short: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = short / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    with pytest.raises(HypervisorError, match=str(link)):
        LauncherRoot(short)
    assert victim.read_text() == "precious"


def test_a_lock_that_has_another_name_elsewhere_is_not_written(short: Path, tmp_path: Path) -> None:
    victim = short / "victim"
    victim.write_text("precious")
    os.link(victim, short / "launcher.lock")
    with pytest.raises(HypervisorError, match=r"launcher\.lock is no file of this user's alone"):
        LauncherRoot(short)
    assert victim.read_text() == "precious"


def test_discs_that_a_start_left_are_removed_by_the_next_launcher_and_by_its_own(short: Path) -> None:
    for is_before in (True, False):
        disc = short / "storage/other_guest/cloudinit.iso"
        root = None if is_before else LauncherRoot(short)
        disc.parent.mkdir(parents=True)
        disc.write_text("password")
        (root or LauncherRoot(short)).close()
        assert not (short / "storage").exists()


def test_another_users_process_with_the_right_words_is_neither_believed_nor_ended(short: Path) -> None:
    """It has made itself one that nobody may look into: its files in /proc belong to root then."""
    left = _left_by_qemu(short)
    (short / "lib/qemu/qmp-ABC").mkdir()
    program = (
        f"import ctypes, os, sys, time; os.setgid({OTHER}); os.setuid({OTHER}); "
        "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print(flush=True); time.sleep(60)"
    )
    uuid = "5d307ca9-b3ef-428c-8861-06e72d69f223"
    words = ("-uuid", uuid, f"file={short}/lib/qemu/key", f"unix:{short}/lib/qemu/qmp-ABC/qmp.monitor")
    with subprocess.Popen([sys.executable, "-S", "-c", program, *words], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"\n"
        assert Path(f"/proc/{stranger.pid}/cmdline").stat().st_uid == 0
        LauncherRoot(short).close()
        with pytest.raises(HypervisorError, match="no process on this machine"):
            find_qemu(uuid, root=short)
        assert stranger.poll() is None
        stranger.kill()
    assert not any(path.exists() for path in left), "what it looks like kept nothing from being cleared up"

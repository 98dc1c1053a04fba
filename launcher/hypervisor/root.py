"""The launcher's root: its folders, the embedded driver's qemu.conf, and the lock that keeps a second launcher out."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from launcher.errors import HypervisorError, UsageError
from launcher.files import remove_tree
from launcher.hypervisor.folders import open_root
from launcher.hypervisor.probes import end_probes, is_probe
from launcher.hypervisor.process import command_lines, daemons_users, is_below
from launcher.hypervisor.shared_cache import take_from
from launcher.last import at_last
from launcher.sockets import listened_at
from launcher.storage.names import IMAGES_FOLDER

# libvirt as root would otherwise move QEMU into a cgroup of its own making, out of the container's cpuset; it would
# give QEMU a mount namespace, for which it needs CAP_SYS_ADMIN; and it would hand QEMU's output to a virtlogd that is
# not there. QEMU runs as the user that the launcher runs as, so no file has to change its owner. The container
# confines QEMU; a security driver would need its profiles installed inside. Without privileges libvirt looks for no
# mount of huge pages itself (qemu_conf.c), so those that can be written are named.
_QEMU_CONF = """\
# Written by virt-launcher at every start.
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
dynamic_ownership = 0
security_driver = "none"
"""

# swtpm, too, which libvirt would start as a user that may not look into this root.
_OF_ROOT = 'user = "+0"\ngroup = "+0"\nswtpm_user = "+0"\nswtpm_group = "+0"\n'

# sockaddr_un.sun_path (unix(7)) takes 107 bytes and a NUL; the longest socket that libvirt makes below its root is
# lib/qemu/domain-<id>-<20 bytes of the name>/monitor.sock.
_LONGEST_SOCKET = "/lib/qemu/domain-999-12345678901234567890/monitor.sock"
_SUN_PATH_MAX = 107

# What each QEMU of libvirt's has on its command line, and no other program that works on images.
_GUEST = b"-name\0guest="

# The user that libvirt 9 looks up when its QEMU driver starts as root, before it reads qemu.conf.
_DRIVER_USER = "libvirt-qemu"


class LauncherRoot:
    """One root folder, prepared and locked for as long as this object is open."""

    def __init__(self, root: Path) -> None:
        """Make the folders and take the lock; raises UsageError or HypervisorError that names the folder."""
        self.path = root.absolute()
        _check_length(self.path)
        try:
            folder = open_root(self.path)
            try:
                self._lock = _lock(self.path, folder)
            finally:
                os.close(folder)
            end_probes(self.path)
            _sweep(self.path)
            _write_configuration(self.path / "etc" / "qemu.conf")
        except OSError as error:
            # Below the root: the lock is opened by its name there.
            where = self.path / error.filename if error.filename else self.path
            raise HypervisorError(f"{where}: {error.strerror}; --root needs a writable folder") from error

    @property
    def uri(self) -> str:
        """The libvirt URI of the embedded driver over this root."""
        return f"qemu:///embed?root={quote(str(self.path))}"

    def take_cache(self, shared: Path) -> None:
        """Copy what is known of QEMU from a folder that several launchers share; nothing is written to it."""
        take_from(shared, self.path / "cache")

    def set_environment(self) -> None:
        """Point libvirt's own look-ups at this root; call before libvirt is loaded.

        Without privileges libvirt wants a writable HOME and XDG_RUNTIME_DIR, which a container need not have. Its log
        goes to a file, since standard error is the launcher's.
        """
        os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", f"2:file:{self.path}/log/libvirt.log")
        for name, folder in (("HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CACHE_HOME", "home")):
            if not os.access(os.environ.get(name) or "/nonexistent", os.W_OK):
                os.environ[name] = str(self.path / folder)

    def close(self) -> None:
        """Remove what a QEMU that is gone left behind, and release the lock: where the process ends, at its very end.

        The folders stay, and with them the logs and the cached capabilities of QEMU.
        """
        end_probes(self.path)
        written = _sweep(self.path)
        # The end of the process releases the lock, after that.
        if not at_last(partial(_remove, written)):
            os.close(self._lock)


def check_driver_user() -> None:
    """Raise HypervisorError where libvirt's QEMU driver would refuse to start as root for want of its user."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(_DRIVER_USER)
    except KeyError:
        raise HypervisorError(
            f"user {_DRIVER_USER!r} does not exist, and libvirt's QEMU driver needs it when run as root: "
            f"create it (useradd --system --no-create-home {_DRIVER_USER}) or run as another user"
        ) from None


def _check_length(root: Path) -> None:
    room = _SUN_PATH_MAX - len(_LONGEST_SOCKET)
    length = len(os.fsencode(root))
    if length > room:
        raise UsageError(
            f"--root {root}: the path is {length} bytes long, at most {room} leave room for libvirt's unix sockets"
        )


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        with suppress(OSError):
            path.unlink()


def _sweep(root: Path) -> tuple[Path, ...]:
    """Remove what was made for a guest, and sockets, pid files and libvirt's records, where no QEMU of this root lives.

    libvirt clears up itself, but not soon: after a crash it begins 0.2 s later, for which the launcher does not wait,
    and of a launcher that was killed in the middle of a start it believes the records and asks for 30 s after a QEMU
    that never was. A QEMU that lives keeps everything: the launcher adopts it. Return the records that libvirt may
    write again while it clears up, each after the one that gets its name once it is whole.
    """
    state = root / "run" / "qemu"
    # A launcher that is killed while libvirt writes a record leaves that under the name it has until it is whole.
    records = [path for name in ("*.pid", "*.xml", "*.new") for path in state.glob(name) if path.name != "driver.pid"]
    # Nor is anything defined here for longer than a start takes.
    records += (root / "etc" / "qemu").glob("*.xml")
    images = root / IMAGES_FOLDER
    sockets = _abandoned(root / "run")
    if not (records or sockets or images.exists()) or _has_qemu(root):
        return ()
    remove_images(root)
    _remove((*records, *sockets))
    for folder in (root / "lib" / "qemu").glob("domain-*"):
        remove_tree(folder)
    written = [path for path in records if path.suffix == ".xml"]
    return tuple(file for path in written for file in (path.with_name(f"{path.name}.new"), path))


def _abandoned(folder: Path) -> tuple[Path, ...]:
    """Return the sockets at which nobody listens: QEMU leaves its screen's where it is ended before it ran.

    Those of a daemon's QEMU, which its command line need not name, are how the next launcher reaches its guest.
    """
    sockets = tuple(folder.glob("*.sock"))
    listened = listened_at() if sockets else set()
    return tuple(path for path in sockets if str(path) not in listened)


def remove_images(root: Path) -> None:
    """Remove every image that was made below this root: layers, empty disks, and discs that hold secrets.

    One guest lives over a root; what is left of another one's start is nobody's.
    """
    folder = root / IMAGES_FOLDER
    for _attempt in range(3):
        # A qemu-img whose parent was ended may just be making one more.
        remove_tree(folder)
        if not folder.exists():
            break


def _has_qemu(root: Path) -> bool:
    """Tell whether a QEMU of this root runs a guest; one that libvirt asks what it can do is ending by now.

    A daemon's is known by the images and other files that it has from here.
    """
    if any(is_below(command, root) and not is_probe(command, root) for _pid, command in command_lines()):
        return True
    images = os.fsencode(root / IMAGES_FOLDER) + b"/"
    return any(images in command and _GUEST in command for _pid, command in command_lines(owners=daemons_users()))


def _lock(root: Path, folder: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open("launcher.lock", flags, 0o600, dir_fd=folder)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        os.close(descriptor)
        raise HypervisorError(f"{root}/launcher.lock is no file of this user's alone; give the launcher its own --root")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise HypervisorError(
            f"{root}: another launcher (pid {owner or 'unknown'}) works over this root; give each its own --root"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _write_configuration(path: Path) -> None:
    text = _QEMU_CONF + (_OF_ROOT if os.geteuid() == 0 else _of_others(Path("/proc/self/mounts").read_text()))
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    partial.replace(path)


def _of_others(mounts: str) -> str:
    """Return the setting that lets QEMU of a user other than root have huge pages, where any can be written."""
    quoted = [f'"{folder}"' for folder in hugetlbfs_mounts(mounts) if os.access(folder, os.W_OK)]
    return f"hugetlbfs_mount = [{', '.join(quoted)}]\n" if quoted else ""


def hugetlbfs_mounts(mounts: str) -> tuple[str, ...]:
    """Return where huge pages are mounted, says the text of /proc/self/mounts (fstab(5)), in its order.

    A folder with a space or another character that is escaped there is left out: so unusual a name gains nothing.
    """
    fields = (line.split(" ") for line in mounts.splitlines())
    return tuple(
        field[1] for field in fields if len(field) > 2 and field[2] == "hugetlbfs" and not set(field[1]) & set('\\"')
    )

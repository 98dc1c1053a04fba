"""A kubelet with a static CPU manager, simulated on this node, and real containers: control groups and processes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.sysfs import read_host
from launcher.host.tree import FolderTree
from launcher.kubelet.admission import admit
from launcher.kubelet.options import parse_options
from launcher.kubelet.requests import Amount, ContainerRequests, PodRequests
from launcher.pod.manifest import MANIFEST_FILE, MANIFEST_FOLDER, PodManifest, pod_manifest, pod_requests
from launcher.pod.options import KVM_RESOURCE, PodOptions
from launcher.quantity import Quantity, parse_quantity
from launcher.storage.layout import CLAIM_IMAGE, KUBEVIRT_MOUNTS
from launcher.vmi.document import parse_document
from launcher.vmi.load import admitted
from tests.e2e.boot_sector import make_disk
from tests.e2e.kernel import arguments_of, node_of, read_cpus, status_of
from tests.qemu.guests import CHECKOUT, Launcher

Manifest = dict[str, Any]

GROUPS = Path("/sys/fs/cgroup")
IMAGES = Path("/var/lib/images")
# A tmpfs of the node, as an emptyDir in memory is.
VOLUMES = Path("/var/lib/kubelet/pods")
# What the launcher's image has in it, or its runtime makes for it: places to mount to.
_MOUNT_POINTS = (Path(MANIFEST_FOLDER), Path("/dev/hugepages"), IMAGES)
USER = 107
RESERVED = CPUSet.parse("0-1")
# An emulated node is ten to twenty times slower than the machine under it; a wait that is right ends at once.
PATIENCE_S = 240.0
_ENTER = Path(__file__).parent / "enter-container"
_JOIN = 'echo 0 >"$0/cgroup.procs" && exec "$@"'


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Look again and again until it is so; fail with the sentence where it never comes about."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= ends_s:
            pytest.fail(f"it did not come about that {what}")
        time.sleep(0.2)


class Group:
    """The control group of one container, as the kubelet makes and its runtime uses it (version 2)."""

    def __init__(self, folder: Path, cpus: CPUSet, limits: dict[str, str]) -> None:
        """Make it, with a cpuset of these CPUs and of the memory next to them."""
        self.folder = folder
        self.own = cpus
        folder.mkdir(parents=True)
        (folder.parent / "cgroup.subtree_control").write_text(_CONTROLLERS)
        self.write(cpus)
        (folder / "cpuset.mems").write_text(",".join(map(str, sorted({node_of(cpu) for cpu in cpus}))))
        for name, value in limits.items():
            (folder / name).write_text(value)

    @property
    def cpus(self) -> frozenset[int]:
        """The CPUs that its processes really have."""
        return read_cpus(self.folder / "cpuset.cpus.effective")

    @property
    def mems(self) -> frozenset[int]:
        """The NUMA nodes that its processes really have."""
        return read_cpus(self.folder / "cpuset.mems.effective")

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes in it."""
        return tuple(int(line) for line in (self.folder / "cgroup.procs").read_text().split())

    def write(self, cpus: CPUSet) -> None:
        """Write the cpuset, as the kubelet's reconciliation does, also where nothing changes."""
        (self.folder / "cpuset.cpus").write_text(str(cpus))

    def state(self) -> dict[str, str]:
        """Return all that is to be read of its cpuset, and each process's affinity."""
        found = {path.name: path.read_text() for path in sorted(self.folder.glob("cpuset.*"))}
        return found | {str(pid): status_of(pid)["Cpus_allowed_list"] for pid in self.pids}

    def remove(self) -> None:
        """Kill what is in it, and remove it and the pod's group around it."""
        (self.folder / "cgroup.kill").write_text("1")
        wait_until(self._is_removed, f"everything in {self.folder} has ended")
        self.folder.parent.rmdir()

    def _is_removed(self) -> bool:
        """Try to remove it: what has been killed is in it until it is gone altogether, unseen."""
        try:
            self.folder.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True


_CONTROLLERS = "+cpuset +memory +hugetlb +pids"


class Kubelet:
    """The node's kubelet: it hands out CPUs by the project's own rules, and keeps the shared pool's containers off."""

    def __init__(self, options: str = "", reserved: CPUSet = RESERVED) -> None:
        """Begin with nothing handed out; `options` are those of `--kubelet`, but for what is reserved or in use."""
        self.options = replace(parse_options(options), reserved=reserved)
        self.host = read_host(FolderTree(Path("/")), os.uname().machine)
        self.groups: list[Group] = []
        self._shared: list[Group] = []
        self._pods = 0
        self._neighbours: list[subprocess.Popen[bytes]] = []
        self.root = GROUPS / "kubepods"
        self.root.mkdir(exist_ok=True)
        (self.root / "cgroup.subtree_control").write_text(_CONTROLLERS)

    def admit(self, pod: PodRequests, limits: dict[str, str]) -> Group:
        """Make the control group of a pod's container: CPUs of its own, or the shared pool."""
        admission = admit(pod, self.host, self.options)
        own = [assignment.cpus for assignment in admission.assignments]
        self._pods += 1
        folder = self.root / f"pod{self._pods}/compute"
        group = Group(folder, own[0] if own else admission.shared_pool, limits)
        self.groups.append(group)
        if own:
            self.options = replace(self.options, in_use=self.options.in_use | own[0])
            for shared in self._shared:
                shared.write(admission.shared_pool)
        else:
            self._shared.append(group)
        return group

    def release(self, group: Group) -> None:
        """End what is in a container's group, remove it, and give its CPUs back to the shared pool."""
        cpus = group.own
        group.remove()
        self.groups.remove(group)
        if group in self._shared:
            self._shared.remove(group)
            return
        self.options = replace(self.options, in_use=self.options.in_use - cpus)
        for shared in self._shared:
            shared.write(CPUSet.of(shared.cpus) | cpus)

    def start_neighbour(self, cpus: int, command: tuple[str, ...] = ("sleep", "inf")) -> Group:
        """Start another pod's container on so many CPUs of its own, on the shared pool's with 0."""
        memory = Amount(request=parse_quantity("64Mi"), limit=parse_quantity("64Mi"))
        amount = Amount(request=Quantity.of_units(cpus), limit=Quantity.of_units(cpus))
        pod = PodRequests(containers=(ContainerRequests(name="compute", cpu=amount, memory=memory),))
        group = self.admit(pod, {"memory.max": str(64 << 20)})
        self._neighbours.append(subprocess.Popen(["sh", "-c", _JOIN, str(group.folder), *command]))
        wait_until(lambda: bool(group.pids), "the neighbour is in its container")
        return group

    def close(self) -> None:
        """End every container that is left."""
        for group in tuple(self.groups):
            self.release(group)
        for neighbour in self._neighbours:
            neighbour.wait()


class Container(Launcher):
    """One `virt-launcher run` as its pod's container: namespaces and a control group of its own, user 107."""

    def __init__(self, kubelet: Kubelet, pod: PodManifest, group: Group, cache: Path, command: tuple[str, ...]) -> None:
        """Start a command in the group that the kubelet made, with what the Pod mounts and the rights that it gives."""
        self._kubelet = kubelet
        self.group = group
        self.volumes = Path(tempfile.mkdtemp(prefix="pod-", dir=VOLUMES))
        self.root = self.volumes / "root"
        self.lines = []
        self._make_volumes(pod)
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [*_own_namespaces(group), *self._enter(pod, cache), *command],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _enter(self, pod: PodManifest, cache: Path) -> tuple[str, ...]:
        return str(_ENTER), str(self.volumes), str(cache), capabilities_of(pod)

    def _make_volumes(self, pod: PodManifest) -> None:
        """Lay out what the Pod mounts, as the kubelet does: empty folders of root's that the Pod's group writes in."""
        self.volumes.chmod(0o755)
        mounts = {mount["name"]: Path(mount["mountPath"]) for mount in _compute(pod)["volumeMounts"]}
        for name in ("root", "root/cache", "tmp", "claims", *(mounts.keys() & {"hugepages"})):
            folder = self.volumes / name
            folder.mkdir()
            if name == "hugepages":
                _mount_huge_pages(folder, _page_size(pod))
            os.chown(folder, 0, USER)
            folder.chmod(0o2777)
        for mount in mounts.values():
            if mount.parent == Path(KUBEVIRT_MOUNTS.claims):
                (self.volumes / "claims" / mount.name).mkdir()
                make_disk(self.volumes / "claims" / mount.name / CLAIM_IMAGE, "raw")
        (self.volumes / "vmi").mkdir()
        data = cast("dict[str, str]", pod.carrier["data"])
        (self.volumes / "vmi" / MANIFEST_FILE).write_text(data[MANIFEST_FILE])

    @property
    def launcher_pid(self) -> int:
        """The launcher, process 1 of its container, by its pid on the node."""
        (pid,) = (pid for pid in self.group.pids if _is_first(pid))
        return pid

    def qemu_pid(self) -> int:
        """Return the guest's QEMU by its pid on the node; one that only tells its capabilities has no guest."""
        (pid,) = (pid for pid in self.group.pids if any(word.startswith("guest=") for word in arguments_of(pid)))
        return pid

    def wait_for(self, pattern: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait for a line of the output; fail with all of the output where it does not come."""
        return super().wait_for(pattern, timeout_s)

    def signal(self, number: signal.Signals) -> None:
        """Send the launcher a signal."""
        os.kill(self.launcher_pid, number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the launcher's end and return its exit status."""
        return super().wait(timeout_s)

    def close(self) -> None:
        """End what still runs of it, and remove what the kubelet made for it."""
        self._kubelet.release(self.group)
        self.process.wait()
        if (self.volumes / "hugepages").exists():
            subprocess.run(["umount", str(self.volumes / "hugepages")], check=True)
        shutil.rmtree(self.volumes)


def _own_namespaces(group: Group) -> tuple[str, ...]:
    """Return what runs a command in the group and in namespaces of its own; that it sees no other group comes last."""
    unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net")
    return (*unshare, "sh", "-c", _JOIN, str(group.folder), "unshare", "--cgroup")


def _compute(pod: PodManifest) -> dict[str, Any]:
    (container,) = cast("dict[str, Any]", pod.pod["spec"])["containers"]
    return cast("dict[str, Any]", container)


def _mount_huge_pages(folder: Path, size: str) -> None:
    command = ("mount", "-t", "hugetlbfs", "-o", f"pagesize={size}", "hugetlbfs", str(folder))
    subprocess.run(command, check=True)


def _page_size(pod: PodManifest) -> str:
    """Return the one size of huge pages that the Pod's container may have, in the words of mount(8)."""
    (name,) = (name for name in _compute(pod)["resources"]["limits"] if name.startswith("hugepages-"))
    return str(name).removeprefix("hugepages-").removesuffix("i")


def _words(pod: PodManifest) -> tuple[str, ...]:
    return ("virt-launcher", *_compute(pod)["args"])


def capabilities_of(pod: PodManifest) -> str:
    """Return the capabilities of the Pod's container in setpriv's words."""
    added = _compute(pod)["securityContext"]["capabilities"].get("add", ())
    return ",".join(("-all", *(f"+{name.lower()}" for name in added)))


def _is_first(pid: int) -> bool:
    """Tell process 1 of a container from others, one that has ended meanwhile among them."""
    try:
        return status_of(pid)["NSpid"].split()[-1] == "1"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pod_of(vmi: Manifest, *, kvm: bool) -> PodManifest:
    """Return the Pod that `virt-launcher pod` prints for this manifest."""
    document = parse_document("test", yaml.safe_dump(vmi).encode())
    options = PodOptions(image="launcher:1", folder=str(CHECKOUT), kvm_resource=KVM_RESOURCE if kvm else None)
    return pod_manifest(document, admitted(document), options)


def limits_of(pod: PodManifest) -> dict[str, str]:
    """Return the limits of the Pod's container as its control group has them, memory and huge pages."""
    limits: dict[str, str] = _compute(pod)["resources"]["limits"]
    files = {"memory": "memory.max", "hugepages-2Mi": "hugetlb.2MB.max", "hugepages-1Gi": "hugetlb.1GB.max"}
    return {files[name]: str(parse_quantity(limits[name]).ceil) for name in files if name in limits}


@contextmanager
def capability_cache() -> Iterator[Path]:
    """Make the node's folder in which libvirt keeps what it learnt of QEMU (virt-launcher pod --cache-folder)."""
    folder = Path(tempfile.mkdtemp(prefix="cache-", dir=VOLUMES))
    os.chown(folder, USER, USER)
    yield folder
    shutil.rmtree(folder)


def prepare_node() -> None:
    """Make what the launcher's containers mount, and to what; keep the node's own processes on the reserved CPUs."""
    for folder in (*_MOUNT_POINTS, VOLUMES):
        folder.mkdir(parents=True, exist_ok=True)
    if not VOLUMES.is_mount():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(VOLUMES)], check=True)
    for group in ("init", "session"):
        (GROUPS / group / "cpuset.cpus").write_text(str(RESERVED))


@contextmanager
def session_everywhere() -> Iterator[tuple[int, ...]]:
    """Let the node's own processes use every CPU for a while, in which no container runs, and return the CPUs."""
    own = GROUPS / "session/cpuset.cpus"
    before = own.read_text()
    # A group that has processes, and once had a list, may not be given an empty one (ENOSPC).
    every = (GROUPS / "cpuset.cpus.effective").read_text()
    own.write_text(every)
    try:
        yield tuple(sorted(os.sched_getaffinity(0)))
    finally:
        own.write_text(before if before.strip() else every)


def run_container(
    kubelet: Kubelet,
    vmi: Manifest,
    cache: Path,
    *arguments: str,
    kvm: bool = False,
    more_cpus: int = 0,
    command: tuple[str, ...] = (),
) -> Container:
    """Have the kubelet admit the Pod of this manifest, where wanted on more CPUs than it asks for, and start it.

    The command is the Pod's with these arguments, unless another one is given.
    """
    pod = pod_of(vmi, kvm=kvm)
    requests = pod_requests(pod.pod)
    if more_cpus:
        requests = _with_more(requests, more_cpus)
    return Container(
        kubelet, pod, kubelet.admit(requests, limits_of(pod)), cache, command or (*_words(pod), *arguments)
    )


def _with_more(requests: PodRequests, cpus: int) -> PodRequests:
    (compute,) = requests.containers
    wanted = Quantity.of_units(compute.cpu.request.ceil + cpus)
    return PodRequests(containers=(replace(compute, cpu=Amount(request=wanted, limit=wanted)),))

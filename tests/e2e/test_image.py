"""The image on a node: podman runs guests in it, pinned, without privileges, realtime where granted, and as a Pod.

What is asserted is read from the node's kernel, outside of the containers.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.pod.manifest import MANIFEST_FOLDER, ROOT
from launcher.pod.metadata import CONTAINER
from launcher.pod.security import USER
from tests.e2e.boot_sector import READY, make_disk
from tests.e2e.kernel import SCHED_FIFO, SCHED_OTHER, status_of, threads_of
from tests.e2e.podman import GROUP, HUGE_PAGES, IMAGE_DISC, Podman, vcpus_of
from tests.e2e.runtime import started_as_by_kubernetes

# A guest of two vCPUs with an emulator thread of its own fills it but for one CPU.
CPUS = frozenset(range(4, 8))
_CPU_LIST = f"{min(CPUS)}-{max(CPUS)}"
# The guest is off at once; on a busy machine that takes a while.
GRACE_S = 180
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_NONE, _SYS_NICE = f"{0:016x}", f"{1 << 23:016x}"


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    assert IMAGE_DISC.is_mount(), "the image's disc is missing: hack/image --disc FILE, hack/node --disc image=FILE"
    # As the kubelet makes an emptyDir of huge pages for the user of a Pod.
    HUGE_PAGES.chmod(0o1777)
    # A kubelet's part: podman gives a Pod no CPUs of its own.
    GROUP.mkdir()
    (GROUP / "cpuset.cpus").write_text(_CPU_LIST)
    yield Podman(tmp_path_factory.mktemp("podman"))
    # podman keeps the group; what it is bound to may be a partition's of the tests that follow.
    (GROUP / "cpuset.cpus").write_text("\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the guest's disk, its manifests, and a cache of QEMU's capabilities for all of them."""
    # pytest opens its own folders to nobody else.
    folder = Path("/tmp/image")  # noqa: S108 - the node's alone
    folder.mkdir()
    make_disk(folder / "root.img", "raw")
    _write_manifest(folder / "plain.yaml", {}, {"guest": "64Mi"})
    realtime: dict[str, Any] = {"numa": {"guestMappingPassthrough": {}}, "realtime": {}}
    _write_manifest(folder / "realtime.yaml", realtime, {"guest": "64Mi", "hugepages": {"pageSize": "2Mi"}})
    (folder / "cache").mkdir()
    os.chown(folder / "cache", USER, USER)
    return folder


def _write_manifest(path: Path, cpu: dict[str, Any], memory: dict[str, Any]) -> None:
    domain = {
        "cpu": {"cores": 2, "dedicatedCpuPlacement": True, "isolateEmulatorThread": True, **cpu},
        "memory": memory,
        "devices": {
            "autoattachGraphicsDevice": False,
            "logSerialConsole": True,
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
        },
    }
    volume = {"name": "root", "hostDisk": {"path": str(path.parent / "root.img"), "type": "Disk"}}
    spec = {"terminationGracePeriodSeconds": GRACE_S, "domain": domain, "volumes": [volume]}
    vmi = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "tiny"}, "spec": spec}
    path.write_text(yaml.safe_dump(vmi))


def confined(folder: Path, *more: str) -> tuple[str, ...]:
    """Return what `podman run` is told to give away nothing, before the image's name, and `more`."""
    return (
        *("--network", "none", "--cpuset-cpus", _CPU_LIST, "--read-only", "--tmpfs", "/tmp"),  # noqa: S108 - in a container
        *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--user", str(USER)),
        *("--volume", f"{folder}/root.img:{folder}/root.img", "--volume", f"{folder}:{MANIFEST_FOLDER}:ro"),
        *("--volume", f"{folder}/cache:{ROOT}/cache", "--volume", f"{HUGE_PAGES}:{HUGE_PAGES}", *more),
    )


def launch(manifest: str) -> tuple[str, ...]:
    """Return the launcher's arguments."""
    return "run", f"{MANIFEST_FOLDER}/{manifest}.yaml", "--virt-type", "qemu"


def assert_pinned(qemu: int, cpus: frozenset[int]) -> None:
    """Hold QEMU's threads to the plan: a CPU for each vCPU and one for all the others, none of them shared."""
    vcpus = vcpus_of(qemu)
    assert set(vcpus) == {"CPU 0/TCG", "CPU 1/TCG"}
    others = {thread.allowed for thread in threads_of(qemu) if thread.name not in vcpus}
    places = [*(thread.allowed for thread in vcpus.values()), *others]
    assert [len(place) for place in places] == [1, 1, 1], places
    assert len(frozenset.union(*places)) == 3
    assert frozenset.union(*places) <= cpus


def assert_realtime(qemu: int) -> None:
    """Hold the vCPUs' threads to SCHED_FIFO, and all others to the ordinary class."""
    vcpus = vcpus_of(qemu)
    assert [(thread.policy, thread.priority) for thread in vcpus.values()] == [(SCHED_FIFO, 1)] * 2
    assert {thread.policy for thread in threads_of(qemu) if thread.name not in vcpus} == {SCHED_OTHER}


def assert_unprivileged(qemu: int, *, bounded_by: str) -> None:
    """Hold QEMU to having no capability, and to no more than its container may have at all."""
    status = status_of(qemu)
    wanted = dict.fromkeys(_CAPABILITIES, _NONE) | {"CapBnd": bounded_by}
    assert {name: status[name].strip() for name in _CAPABILITIES} == wanted
    assert status["Uid"].split() == [str(USER)] * 4
    assert status["NoNewPrivs"].strip() == "1"


def assert_lean(launcher: int) -> None:
    """Hold the launcher to the memory that it may have (DESIGN), and to having let go of what only the start needed."""
    status = status_of(launcher)
    resident, of_files = (int(status[name].split()[0]) for name in ("VmRSS", "RssFile"))
    assert resident <= 40 * 1024
    assert of_files <= 16 * 1024


def test_a_pinned_guest_runs_without_any_privilege_and_ends_in_order_when_podman_stops_it(
    podman: Podman, folder: Path
) -> None:
    message = folder / "termination-log"
    message.touch()
    message.chmod(0o666)
    mounted = ("--volume", f"{message}:/dev/termination-log")
    with podman.started(*confined(folder, *mounted), podman.image, *launch("plain")) as container:
        container.wait_for(READY)
        assert_pinned(container.qemu(), CPUS)
        assert_unprivileged(container.qemu(), bounded_by=_NONE)
        assert_lean(int(status_of(container.qemu())["PPid"]))
        assert container.stop(GRACE_S + 30) == 0, container.output()
    assert message.read_text() == "exit status 0: the guest powered off"


def test_a_realtime_guest_is_refused_in_one_line_where_the_container_may_not_have_it(
    podman: Podman, folder: Path
) -> None:
    result = podman.run("run", "--rm", *confined(folder), podman.image, *launch("realtime"))
    assert result.returncode == 7
    (fault,) = (line for line in map(json.loads, result.stderr.splitlines()) if line["event"] == "ended")
    assert "--cap-add" in fault["message"]


@pytest.mark.parametrize(
    ("right", "bounded_by"),
    [
        pytest.param(("--cap-add", "SYS_NICE"), _SYS_NICE, id="the_capability"),
        pytest.param(("--ulimit", "rtprio=1"), _NONE, id="a_limit_and_no_capability"),
    ],
)
def test_a_realtime_guests_vcpus_are_fifo_where_podman_gives(
    podman: Podman, folder: Path, right: tuple[str, ...], bounded_by: str
) -> None:
    with podman.started(*confined(folder, *right), podman.image, *launch("realtime")) as container:
        container.wait_for(READY)
        assert_pinned(container.qemu(), CPUS)
        assert_realtime(container.qemu())
        assert_unprivileged(container.qemu(), bounded_by=bounded_by)
        assert int(status_of(container.qemu())["VmLck"].split()[0]) >= 64 * 1024
        assert container.stop(GRACE_S + 30) == 0, container.output()


def test_a_realtime_guests_vcpus_are_fifo_where_a_kubernetes_runtime_starts_the_image(
    podman: Podman, folder: Path
) -> None:
    """containerd and CRI-O hand a user other than root no capability on: the image's files have to permit it, too."""
    with started_as_by_kubernetes(podman, folder, launch("realtime")) as crun:
        crun.wait_for(READY)
        assert_realtime(crun.qemu())
        assert_unprivileged(crun.qemu(), bounded_by=_SYS_NICE)
        assert crun.stop() == 0, crun.output()


def test_kube_play_runs_the_pod_as_virt_launcher_prints_it(podman: Podman, folder: Path) -> None:
    options = ("--virt-type", "qemu", "--cache-folder", folder / "cache")
    printing = ("virt-launcher", "pod", *options, folder / "plain.yaml")
    manifest = folder / "pod.yaml"
    manifest.write_bytes(subprocess.run(printing, stdout=subprocess.PIPE, check=True).stdout)
    with podman.playing(manifest, "virt-launcher-tiny", CONTAINER) as container:
        container.wait_for(READY)
        assert_pinned(container.qemu(), CPUS)
        assert_unprivileged(container.qemu(), bounded_by=_NONE)
        assert container.stop(GRACE_S + 30) == 0, container.output()

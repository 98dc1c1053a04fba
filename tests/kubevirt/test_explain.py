"""`render --explain`: each default is told with its rule where the manifest leaves it open, and only there."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from lxml import etree

from launcher.domain.explain import DEFAULTS, explained
from tests.kubevirt.rendering import rendered

README = Path(__file__).parents[2] / "templates/README.md"

PLAIN = "spec: {domain: {memory: {guest: 1Gi}, devices: {}}}"
VOLUME = "volumes: [{name: a, emptyDisk: {capacity: 1Gi}}]"
NETWORK = "networks: [{name: a, pod: {}}]"
DEDICATED = "cpu: {cores: 2, dedicatedCpuPlacement: true}"
SYNIC = "features: {hyperv: {synictimer: {}, evmcs: {}}}"
ALL_HYPERV = "features: {hyperv: {synictimer: {}, evmcs: {}, synic: {}, vpindex: {}, vapic: {}}}"


def domain(inner: str) -> str:
    return f"spec: {{domain: {{memory: {{guest: 1Gi}}, {inner}}}}}"


def devices(inner: str, more: str = VOLUME) -> str:
    return f"spec: {{domain: {{memory: {{guest: 1Gi}}, devices: {{{inner}}}}}, {more}}}"


# What each default is shown by, and where it is not told since the manifest says it; "" where nothing can say it.
CASES = {
    "uuid": (PLAIN, domain("firmware: {uuid: 5d307ca9-b3ef-428c-8861-06e72d69f223}")),
    "memory": ("spec: {domain: {resources: {requests: {memory: 1Gi}}}}", PLAIN),
    "vcpu": (PLAIN, domain("cpu: {cores: 1}")),
    "cpu": (PLAIN, domain("cpu: {model: host-passthrough}")),
    "cpu/feature[@name='mpx']": (
        domain("cpu: {model: Haswell}"),
        domain("cpu: {model: Haswell, features: [{name: mpx, policy: disable}]}"),
    ),
    "sysinfo/system/entry[@name='serial']": ("kind: VirtualMachine", domain("firmware: {serial: mine}")),
    "sysinfo/system/entry[@name='manufacturer']": (PLAIN, ""),
    "os/type": (PLAIN, domain("machine: {type: q35}")),
    "features/vmport": (PLAIN, ""),
    "features/kvm/hint-dedicated": (domain(DEDICATED), ""),
    "features/pmu": (
        (
            "spec: {domain: {cpu: {cores: 1, dedicatedCpuPlacement: true, numa: {guestMappingPassthrough: {}}, "
            "realtime: {}}, memory: {guest: 1Gi, hugepages: {pageSize: 1Gi}}}}"
        ),
        "",
    ),
    "features/hyperv/vapic": (domain(SYNIC), domain(ALL_HYPERV)),
    "features/hyperv/vpindex": (domain(SYNIC), domain(ALL_HYPERV)),
    "features/hyperv/synic": (domain(SYNIC), domain(ALL_HYPERV)),
    "devices/interface": (PLAIN, devices("interfaces: [{name: a, masquerade: {}}]", NETWORK)),
    "devices/interface/model": (PLAIN, devices("interfaces: [{name: a, masquerade: {}, model: e1000}]", NETWORK)),
    "devices/interface/rom": (PLAIN, ""),
    "devices/disk": (devices(""), devices("disks: [{name: a, disk: {}}]")),
    "devices/disk/target": (devices(""), devices("disks: [{name: a, disk: {bus: virtio}}]")),
    "devices/disk/driver": (devices(""), devices("disks: [{name: a, disk: {bus: virtio}, cache: none}]")),
    "devices/serial": (PLAIN, devices("autoattachSerialConsole: true")),
    "devices/channel/target[@name='org.qemu.guest_agent.0']": (PLAIN, ""),
    "devices/graphics": (PLAIN, devices("autoattachGraphicsDevice: true")),
    "devices/video": (PLAIN, devices("video: {type: virtio}")),
    "devices/watchdog": (
        devices("watchdog: {name: dog}"), devices("watchdog: {name: dog, i6300esb: {action: poweroff}}"),
    ),
    "devices/tpm": (devices("tpm: {}"), ""),
    "devices/memballoon": (PLAIN, devices("autoattachMemBalloon: true")),
    "iothreads": (
        devices("disks: [{name: a, disk: {bus: virtio}, dedicatedIOThread: true}]"),
        "spec: {domain: {memory: {guest: 1Gi}, ioThreadsPolicy: shared, "
        "devices: {disks: [{name: a, disk: {bus: virtio}}]}}, " + VOLUME + "}",
    ),
}  # fmt: skip


def told(text: str, path: str) -> list[bool]:
    """Return of each line at this path whether the comment of its default stands before it."""
    (default,) = [one for one in DEFAULTS if one.path == path]
    xml, manifest = rendered(text)
    found = etree.fromstring(explained(xml, manifest)).findall(path)
    wanted = f" default: {default.rule} ({default.source}) "
    return [_has_before(element, wanted) for element in found]


def _has_before(element: etree._Element, comment: str) -> bool:
    """Tell whether this comment stands before the element, with no other element between."""
    before = list(element.itersiblings(preceding=True))
    comments = itertools.takewhile(lambda one: one.tag is etree.Comment, before)  # type: ignore[comparison-overlap]
    return comment in [one.text for one in comments]


def test_there_is_a_case_for_each_default() -> None:
    assert list(CASES) == [default.path for default in DEFAULTS]


@pytest.mark.parametrize("path", CASES)
def test_a_default_is_told_with_its_rule(path: str) -> None:
    assert told(CASES[path][0], path) == [True]


@pytest.mark.parametrize("path", [path for path, (_, given) in CASES.items() if given])
def test_what_the_manifest_says_is_no_default(path: str) -> None:
    assert told(CASES[path][1], path) == [False]


def test_the_explained_domain_is_the_same_domain() -> None:
    xml, manifest = rendered(CASES["devices/disk"][0])
    domain = etree.fromstring(explained(xml, manifest), etree.XMLParser(remove_comments=True, remove_blank_text=True))
    plain = etree.fromstring(xml, etree.XMLParser(remove_blank_text=True))
    assert etree.tostring(domain) == etree.tostring(plain)


@pytest.mark.parametrize("default", DEFAULTS, ids=[default.path for default in DEFAULTS])
def test_the_table_of_defaults_has_each(default: object) -> None:
    row = next(one for one in DEFAULTS if one is default)
    assert f"| `{row.path}` | {row.rule} |" in README.read_text()

"""Pods of many kinds of guests: each is what Kubernetes takes, and what the Pod Security Standards refuse is told."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.kubelet.requests import QoSClass, qos_class
from launcher.pod.manifest import pod_requests
from tests.pod.pods import Rendered, rendered
from tests.pod.standards import baseline, restricted
from tests.pod.test_manifest import EXAMPLES, example


def guest(*, cpu: str = "cores: 1", domain: str = "", devices: str = "", spec: str = "") -> str:
    return f"""
domain:
  cpu: {{{cpu}}}
  memory: {{guest: 1Gi{", hugepages: {pageSize: 2Mi}" if "guestMappingPassthrough" in cpu else ""}}}
  devices: {{{devices}}}
{_indented(domain)}
{spec}
"""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def volume(source: str, disk: str = "disk: {bus: virtio}") -> str:
    return guest(devices=f"disks: [{{name: v, {disk}}}]", spec=f"volumes: [{{name: v, {source}}}]")


CARD = "interfaces: [{name: net, %s}]"
SSH = "accessCredentials: [{sshPublicKey: {source: {secret: {secretName: keys}}, propagationMethod: {%s}}}]"
WORDS = (
    "accessCredentials: [{userPassword: {source: {secret: {secretName: s.words}}, "
    "propagationMethod: {qemuGuestAgent: {}}}}]"
)
FILESYSTEM = "filesystems: [{name: v, virtiofs: {}}]"
KERNEL = "firmware: {kernelBoot: {container: {image: 'k:1', kernelPath: /boot/vmlinuz, initrdPath: /boot/initrd}}}"
DEDICATED = "cores: 2, dedicatedCpuPlacement: true"
NUMA = f"{DEDICATED}, numa: {{guestMappingPassthrough: {{}}}}"

# (sentence, spec, choices, whether baseline takes it, whether restricted does)
SHAPES: list[tuple[str, str, dict[str, Any], bool, bool]] = [
    ("a_guest_of_nothing", guest(), {}, True, True),
    ("a_guest_that_is_emulated", guest(), {"kvm_resource": None}, True, True),
    ("a_claim", volume("persistentVolumeClaim: {claimName: c}"), {}, True, True),
    (
        "a_claim_that_is_a_device",
        volume("persistentVolumeClaim: {claimName: c}"),
        {"block_volumes": frozenset({"v"})},
        True,
        True,
    ),
    ("a_data_volume", volume("dataVolume: {name: d}"), {}, True, True),
    ("a_layer_over_a_claim", volume("ephemeral: {persistentVolumeClaim: {claimName: c}}"), {}, True, True),
    ("an_empty_disk", volume("emptyDisk: {capacity: 3Gi}"), {}, True, True),
    ("a_container_disk", volume("containerDisk: {image: 'd:1'}"), {}, True, True),
    ("a_container_disk_as_a_volume", volume("containerDisk: {image: 'd:1'}"), {"image_volumes": True}, True, True),
    ("a_host_disk", volume("hostDisk: {path: /images/d.img, type: Disk}"), {}, False, False),
    (
        "a_host_disk_to_be_made",
        volume("hostDisk: {path: /images/d.img, type: DiskOrCreate, capacity: 1Gi}"),
        {},
        False,
        False,
    ),
    ("a_config_map", volume("configMap: {name: c}"), {}, True, True),
    ("a_secret", volume("secret: {secretName: s, optional: true}"), {}, True, True),
    ("a_service_account", volume("serviceAccount: {serviceAccountName: a}"), {}, True, True),
    (
        "the_pods_own_fields",
        volume("downwardAPI: {fields: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}"),
        {},
        True,
        True,
    ),
    ("an_answer_file_in_a_config_map", volume("sysprep: {configMap: {name: c}}", "cdrom: {bus: sata}"), {}, True, True),
    ("an_answer_file_in_a_secret", volume("sysprep: {secret: {name: s}}", "cdrom: {bus: sata}"), {}, True, True),
    ("cloud_init_in_the_manifest", volume("cloudInitNoCloud: {userData: '#cloud-config'}"), {}, True, True),
    ("cloud_init_in_secrets", volume("cloudInitConfigDrive: {secretRef: {name: s}}"), {}, True, True),
    (
        "keys_by_cloud_init",
        volume("cloudInitNoCloud: {userData: x}").rstrip() + "\n" + SSH % "noCloud: {}",
        {},
        True,
        True,
    ),
    ("keys_by_the_agent", guest(spec=SSH % "qemuGuestAgent: {users: [root]}"), {}, True, True),
    ("passwords_by_the_agent", guest(spec=WORDS), {}, True, True),
    (
        "a_shared_claim",
        guest(devices=FILESYSTEM, spec="volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]"),
        {},
        True,
        True,
    ),
    (
        "a_shared_path_of_the_container",
        guest(devices=FILESYSTEM, spec="volumes: [{name: v, containerPath: {path: /var/run/secrets/tokens}}]"),
        {},
        True,
        True,
    ),
    ("a_probe_by_the_agent", guest(spec="readinessProbe: {guestAgentPing: {}}"), {}, True, True),
    (
        "a_probe_by_the_network",
        guest(
            devices=CARD % "slirp: {}",
            spec="networks: [{name: net, pod: {}}]\nlivenessProbe: {httpGet: {port: 80, path: /x}}",
        ),
        {},
        True,
        True,
    ),
    ("the_hosts_figures", volume("downwardMetrics: {}"), {}, True, True),
    ("a_memory_dump", guest(spec="volumes: [{name: v, memoryDump: {claimName: c}}]"), {}, True, True),
    ("a_kernel_from_an_image", guest(domain=KERNEL), {}, True, True),
    ("a_kernel_from_an_image_as_a_volume", guest(domain=KERNEL), {"image_volumes": True}, True, True),
    (
        "a_kernel_from_the_node",
        guest(domain="firmware: {kernelBoot: {container: {kernelPath: /boot/vmlinuz}}}"),
        {},
        False,
        False,
    ),
    ("user_networking", guest(devices=CARD % "slirp: {}", spec="networks: [{name: net, pod: {}}]"), {}, True, True),
    (
        "ports_below_1024",
        guest(devices=CARD % "passtBinding: {}, ports: [{port: 22}]", spec="networks: [{name: net, pod: {}}]"),
        {},
        True,
        True,
    ),
    (
        "a_network_of_multus",
        guest(devices=CARD % "bridge: {}", spec="networks: [{name: net, multus: {networkName: vms/lan}}]"),
        {},
        True,
        True,
    ),
    ("dedicated_cpus", guest(cpu=DEDICATED), {}, True, True),
    ("numa_passthrough", guest(cpu=NUMA), {}, False, False),
    ("realtime", guest(cpu=f"{NUMA}, realtime: {{}}"), {}, False, False),
    ("a_cache_of_the_node", guest(), {"cache_folder": "/var/cache/vl"}, False, False),
    (
        "names_a_resolver_and_a_place",
        guest(
            spec="hostname: web\nsubdomain: pool\ndnsPolicy: None\ndnsConfig: {nameservers: [192.0.2.1], "
            "searches: [a.b], options: [{name: ndots, value: '2'}]}\n"
            "nodeSelector: {zone: a}\ntolerations: [{operator: Exists}]"
        ),
        {},
        True,
        True,
    ),
    (
        "virtual_functions_of_two_networks",
        guest(
            devices="interfaces: [{name: left, sriov: {}, macAddress: '02:00:00:00:00:01'}, {name: right, sriov: {}}]",
            domain="resources: {requests: {example.com/vf: 1}}",
            spec="networks: [{name: left, multus: {networkName: net/blue}}, {name: right, multus: {networkName: red}}]",
        ),
        {},
        True,
        True,
    ),
    (
        "a_virtual_function_of_a_claim",
        guest(
            devices="interfaces: [{name: a, sriov: {}}]",
            spec="networks: [{name: a, resourceClaim: {claimName: nic, requestName: vf}}]\n"
            "resourceClaims: [{name: nic, resourceClaimTemplateName: one-vf}]",
        ),
        {},
        True,
        True,
    ),
    (
        "licences_and_usb_devices_of_others",
        guest(
            devices="clientPassthrough: {}",
            domain="firmware: {acpi: {slicNameRef: l}}",
            spec="volumes: [{name: l, secret: {secretName: s}}]",
        ),
        {},
        True,
        True,
    ),
    ("a_vsock", guest(devices="autoattachVSOCK: true"), {}, True, True),
    (
        "a_tpm_and_uefi",
        guest(devices="tpm: {}", domain="firmware: {bootloader: {efi: {secureBoot: false}}}"),
        {},
        True,
        True,
    ),
]
IDS = [row[0] for row in SHAPES]


@pytest.mark.parametrize(("spec", "choices", "is_baseline", "is_restricted"), [row[1:] for row in SHAPES], ids=IDS)
def test_a_pod_is_valid_and_meets_the_standards_or_says_what_does_not(
    spec: str, choices: dict[str, Any], is_baseline: bool, is_restricted: bool
) -> None:
    found = rendered(spec, **choices)
    assert (list(baseline(found.spec)) == [], list(restricted(found.spec)) == []) == (is_baseline, is_restricted)
    _assert_told(found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_examples_pod_meets_the_standards_or_says_what_does_not(path: Any) -> None:
    _assert_told(example(path)[1])


def _assert_told(found: Rendered) -> None:
    """Compare what --explain says with what the standards' own words find; each is told once, by its name."""
    lines = list(found.manifest.reasons)
    for standard, check in (("restricted", restricted), ("baseline", baseline)):
        refused = {word.split(": ")[1] for word in check(found.spec)}
        start = lines.index(f"Pod Security Standard {standard}: {'refuses it for' if refused else 'takes this Pod'}")
        named = []
        for line in lines[start + 1 :]:
            if not line.startswith(" "):
                break
            named.append(line.split()[1].rstrip(":"))
        assert set(named) == refused
    warned = [warning for warning in found.manifest.warnings if "Pod Security Standard" in warning]
    assert len(warned) == (1 if list(restricted(found.spec)) else 0)


@pytest.mark.parametrize(("spec", "choices"), [row[1:3] for row in SHAPES], ids=IDS)
def test_everything_a_guest_can_make_grow_is_bounded(spec: str, choices: dict[str, Any]) -> None:
    found = rendered(spec, **choices)
    for one in found.spec["volumes"]:
        if "emptyDir" in one and "medium" not in one["emptyDir"]:
            assert one["emptyDir"]["sizeLimit"].endswith("Mi"), one
    limit, request = found.limits["ephemeral-storage"], found.requests["ephemeral-storage"]
    folders = sum(
        int(one["emptyDir"]["sizeLimit"].removesuffix("Mi"))
        for one in found.spec["volumes"]
        if "sizeLimit" in one.get("emptyDir", {})
    )
    assert int(request.removesuffix("Mi")) <= folders < int(limit.removesuffix("Mi")), "and the container's output"


@pytest.mark.parametrize(("spec", "choices"), [row[1:3] for row in SHAPES], ids=IDS)
def test_a_pod_is_guaranteed_where_its_cpus_are_dedicated(spec: str, choices: dict[str, Any]) -> None:
    is_dedicated = "dedicatedCpuPlacement: true" in spec
    wanted = QoSClass.GUARANTEED if is_dedicated else QoSClass.BURSTABLE
    assert qos_class(pod_requests(rendered(spec, **choices).pod)) is wanted

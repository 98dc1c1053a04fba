"""The launcher's Pod: what it requests, where it may run, what it may do, and that a kubelet takes it."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.errors import InvalidVMI
from launcher.host.model import Host
from launcher.host.synthetic import parse_synthetic
from launcher.kubelet import QoSClass, container_cpuset, parse_options, qos_class
from launcher.planner.demand import cpu_demand
from launcher.planner.plan import plan
from launcher.pod.manifest import pod_requests
from launcher.quantity import parse_quantity
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted
from tests.goldens import assert_golden
from tests.pod.pods import Rendered, rendered

EXAMPLES = sorted((Path(__file__).parents[2] / "templates/examples").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"

DEDICATED = """
domain:
  cpu: {{cores: {cores}, dedicatedCpuPlacement: true{more}}}
  memory: {{guest: 1Gi}}
"""
MIB = 1 << 20


def example(path: Path) -> tuple[Guest, Rendered]:
    document = read_document(str(path))
    arch = "x86_64"
    return admitted(document, arch=arch).guest, rendered(document, folder="/srv")


def dedicated(cores: int = 4, more: str = "", **choices: Any) -> Rendered:
    return rendered(DEDICATED.format(cores=cores, more=more), **choices)


def shared(resources: str = "{}", more: str = "", **choices: Any) -> Rendered:
    spec = f"""
domain:
  cpu: {{cores: 4}}
  memory: {{guest: 1Gi}}
  resources: {resources}
{more}"""
    return rendered(spec, **choices)


def overhead_mebibytes(found: Rendered) -> int:
    """Return the sum of the items that --explain shows, without what is the guest's or the manifest's."""
    addends = [re.match(r" +(\d+)Mi  (.*)", line) for line in found.manifest.reasons]
    return sum(int(addend[1]) for addend in addends if addend and "guest's memory" not in addend[2].split(",")[0])


def big_node(guest: Guest) -> Host:
    """Return a node with room for every example: 2 NUMA nodes of 16 CPUs."""
    return parse_synthetic("node:2 core:8 pu:2")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_examples_pod_is_what_kubernetes_takes_and_asks_for_the_cpus_that_the_planner_counts(path: Path) -> None:
    guest, found = example(path)
    requests = pod_requests(found.pod)
    if guest.cpu.dedicated:
        assert qos_class(requests) is QoSClass.GUARANTEED
        assert found.requests == found.limits
        assert found.requests["cpu"] == str(cpu_demand(guest).total)
    else:
        assert qos_class(requests) is QoSClass.BURSTABLE


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_kubelet_with_the_static_policy_admits_an_examples_pod_and_its_guest_fits(path: Path) -> None:
    guest, found = example(path)
    host = big_node(guest)
    allowed = container_cpuset(pod_requests(found.pod), host, parse_options("reserved=0-1"), container="compute")
    if not guest.cpu.dedicated:
        return
    assert len(allowed.cpus) == cpu_demand(guest).total
    if guest.memory.huge_page_bytes is None:
        assert len(plan(guest, host, allowed).vcpus) == guest.cpu.topology.vcpus


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_config_map_brings_the_same_guest(path: Path) -> None:
    guest, found = example(path)
    assert yaml.safe_load(found.config_map["data"]["vmi.yaml"]) == yaml.safe_load(path.read_text())
    (volume,) = [volume for volume in found.spec["volumes"] if volume["name"] == "vmi"]
    assert volume["configMap"]["name"] == found.config_map["metadata"]["name"] == f"virt-launcher-{guest.name}"


@pytest.mark.parametrize("name", ["isolated-iothreads", "realtime", "smallest"])
def test_the_whole_stream_is_as_it_was(name: str) -> None:
    (path,) = [path for path in EXAMPLES if path.stem == name]
    _, found = example(path)
    assert_golden(GOLDEN / f"{name}.yaml", found.manifest.to_yaml(explain=True))


CPUS = [
    ("vcpus_alone", "", "", "4"),
    ("an_isolated_emulator", ", isolateEmulatorThread: true", "", "5"),
    ("an_iothread_pool", "", "ioThreadsPolicy: supplementalPool\n  ioThreads: {supplementalPoolThreadCount: 2}", "6"),
]


@pytest.mark.parametrize(("more", "policy", "cpus"), [row[1:] for row in CPUS], ids=[row[0] for row in CPUS])
def test_cpus_of(more: str, policy: str, cpus: str) -> None:
    found = rendered(f"{DEDICATED.format(cores=4, more=more)}  {policy}\n")
    assert found.requests["cpu"] == found.limits["cpu"] == cpus


def test_memory_is_the_guests_and_an_overhead_that_adds_up() -> None:
    found = dedicated()
    assert found.requests["memory"] == found.limits["memory"] == f"{1024 + overhead_mebibytes(found)}Mi"
    assert overhead_mebibytes(found) > 200


def test_what_the_manifest_asks_for_beyond_the_guests_memory_is_kept() -> None:
    found = rendered(
        """
domain:
  cpu: {cores: 4, dedicatedCpuPlacement: true}
  memory: {guest: 1Gi}
  resources:
    requests: {memory: 3Gi}
    limits: {memory: 3Gi}
"""
    )
    assert found.requests["memory"] == found.limits["memory"]
    assert parse_quantity(found.limits["memory"]).ceil // MIB == 3072 + overhead_mebibytes(found) - 2048


def test_huge_pages_are_a_resource_of_their_own_and_memory_is_only_what_is_beside_them() -> None:
    found = rendered(
        """
domain:
  cpu: {cores: 4, dedicatedCpuPlacement: true}
  memory: {guest: 4Gi, hugepages: {pageSize: 2Mi}}
"""
    )
    assert found.requests["hugepages-2Mi"] == found.limits["hugepages-2Mi"] == "4Gi"
    assert found.requests["memory"] == found.limits["memory"] == f"{overhead_mebibytes(found)}Mi"
    assert found.mount("/dev/hugepages") == {"emptyDir": {"medium": "HugePages"}}
    assert qos_class(pod_requests(found.pod)) is QoSClass.GUARANTEED


SHARED = [
    ("a_tenth_of_a_cpu_for_each_vcpu", "{}", {}, "400m", None),
    ("another_ratio", "{}", {"vcpus_per_cpu": 3}, "1334m", None),
    ("a_request", "{requests: {cpu: 2}}", {}, "2", None),
    ("a_limit_is_the_request_too", "{limits: {cpu: 3}}", {}, "3", "3"),
    ("both", "{requests: {cpu: 1500m}, limits: {cpu: 3}}", {}, "1500m", "3"),
]


@pytest.mark.parametrize(
    ("resources", "choices", "request_", "limit"), [row[1:] for row in SHARED], ids=[row[0] for row in SHARED]
)
def test_cpus_that_are_not_dedicated(resources: str, choices: dict[str, Any], request_: str, limit: str | None) -> None:
    found = shared(resources, **choices)
    assert parse_quantity(found.requests["cpu"]) == parse_quantity(request_)
    assert found.limits.get("cpu") == limit


def test_a_guest_whose_requests_equal_its_limits_is_guaranteed_without_dedicated_cpus() -> None:
    found = shared("{limits: {cpu: 2, memory: 1Gi}}")
    assert qos_class(pod_requests(found.pod)) is QoSClass.GUARANTEED


def test_memory_may_be_overcommitted_where_cpus_are_shared() -> None:
    found = shared("{requests: {memory: 512Mi}, limits: {memory: 2Gi}}")
    overhead = overhead_mebibytes(found)
    request, limit = (parse_quantity(amounts["memory"]).ceil // MIB for amounts in (found.requests, found.limits))
    assert limit - request == 1536
    assert 512 < request < 1024 + overhead


def test_other_resources_are_passed_on() -> None:
    found = shared('{requests: {"example.com/fpga": 1}, limits: {"example.com/fpga": 1}}')
    assert found.requests["example.com/fpga"] == found.limits["example.com/fpga"] == "1"


def test_kvm_comes_by_the_resource_that_is_chosen() -> None:
    assert dedicated().limits["devices.kubevirt.io/kvm"] == "1"
    found = dedicated(kvm_resource="example.org/kvm")
    assert (found.limits["example.org/kvm"], found.requests["example.org/kvm"]) == ("1", "1")
    assert "devices.kubevirt.io/kvm" not in found.limits


def test_an_emulated_guest_needs_no_device_and_more_memory() -> None:
    found = dedicated(kvm_resource=None)
    assert not [name for name in found.limits if "kvm" in name]
    assert found.launcher["args"][4:6] == ["--virt-type", "qemu"]
    assert overhead_mebibytes(found) == overhead_mebibytes(dedicated()) + 1024


def test_guests_with_dedicated_cpus_run_on_nodes_that_hand_out_whole_ones() -> None:
    assert dedicated().spec["nodeSelector"] == {"cpumanager": "true"}
    assert "nodeSelector" not in shared().spec


def test_realtime_asks_for_its_nodes_and_its_one_capability() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "realtime"]
    _, found = example(path)
    assert found.spec["nodeSelector"] == {"cpumanager": "true", "kubevirt.io/realtime": ""}
    assert found.launcher["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_NICE"]}
    assert any("cap_sys_nice" in warning for warning in found.manifest.warnings)


def test_no_other_guest_has_a_capability() -> None:
    assert dedicated().launcher["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_schedulers_fields_are_copied_and_selectors_joined() -> None:
    found = shared(
        more="""
nodeSelector: {zone: a, cpumanager: "false"}
tolerations: [{key: gpu, operator: Exists}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
schedulerName: mine
priorityClassName: high
serviceAccountName: guests
architecture: amd64
evictionStrategy: LiveMigrate
"""
    )
    assert found.spec["nodeSelector"] == {"cpumanager": "false", "zone": "a", "kubernetes.io/arch": "amd64"}
    assert found.spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert found.spec["affinity"] == {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    assert found.spec["topologySpreadConstraints"][0]["topologyKey"] == "zone"
    assert (found.spec["schedulerName"], found.spec["priorityClassName"]) == ("mine", "high")
    assert (found.spec["serviceAccountName"], found.spec["automountServiceAccountToken"]) == ("guests", False)


@pytest.mark.parametrize("selector", ["[a]", "text", "{a: 1}", "{a: {b: c}}"])
def test_a_node_selector_that_is_none_is_refused(selector: str) -> None:
    with pytest.raises(InvalidVMI, match=r"spec.nodeSelector: wanted a mapping of labels to text"):
        shared(more=f"nodeSelector: {selector}")


@pytest.mark.parametrize(("grace", "wanted"), [("", 45), ("terminationGracePeriodSeconds: 0", 15),
                                               ("terminationGracePeriodSeconds: 180", 195)])  # fmt: skip
def test_the_pod_waits_longer_than_its_guest(grace: str, wanted: int) -> None:
    assert shared(more=grace).spec["terminationGracePeriodSeconds"] == wanted


def test_the_launcher_writes_only_where_the_pod_lets_it() -> None:
    found = dedicated()
    writable = {mount["mountPath"] for mount in found.launcher["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/run/virt-launcher", "/var/run/virt-launcher/cache", "/tmp"}  # noqa: S108 - the container's
    assert found.mount("/etc/virt-launcher")["readOnly"]


def test_the_cache_of_qemus_capabilities_may_outlive_the_pod() -> None:
    found = dedicated(cache_folder="/var/cache/virt-launcher")
    place = "/var/run/virt-launcher/cache"
    assert found.mount(place) == {"hostPath": {"path": "/var/cache/virt-launcher", "type": "Directory"}}


def test_names_stay_dns_labels_however_long_the_guests_is() -> None:
    name = "g" * 63
    document = read_document(str(EXAMPLES[0]))
    document.root["metadata"] = {"name": name, "labels": {"app": "db"}}
    found = rendered(document, folder="/srv")
    assert found.pod["metadata"]["name"] == found.config_map["metadata"]["name"]
    assert found.pod["metadata"]["labels"]["app.kubernetes.io/instance"] == name
    assert found.pod["metadata"]["labels"]["app"] == "db"


def test_a_virtual_machines_pod_is_its_templates() -> None:
    document = read_document(str(EXAMPLES[0]))
    spec = document.root.pop("spec")
    document.root.update(
        kind="VirtualMachine", spec={"template": {"metadata": {"labels": {"app": "db"}}, "spec": spec}}
    )
    found = rendered(document, folder="/srv")
    assert found.pod["metadata"]["labels"]["app"] == "db"
    assert yaml.safe_load(found.config_map["data"]["vmi.yaml"])["kind"] == "VirtualMachine"


def test_the_reasons_are_comments_above_the_stream() -> None:
    text = dedicated().manifest.to_yaml(explain=True)
    comments = list(takewhile(lambda line: line.startswith("#"), text.splitlines()))
    assert comments[0] == "# cpu: 4 = 4 vCPUs"
    assert text.count("#") == len(comments)
    assert "#" not in dedicated().manifest.to_yaml()

"""The launcher's Pod: what it requests, where it may run, what it may do, and that a kubelet takes it."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.errors import InvalidVMI, UsageError
from launcher.host.model import Host
from launcher.host.synthetic import parse_synthetic
from launcher.kubelet.admission import container_cpuset
from launcher.kubelet.options import parse_options
from launcher.kubelet.requests import QoSClass, qos_class
from launcher.planner.demand import cpu_demand
from launcher.planner.plan import plan
from launcher.pod.manifest import pod_requests
from launcher.pod.options import Runtime
from launcher.quantity import parse_quantity
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Value
from tests.goldens import assert_golden
from tests.pod.kubernetes import content_of
from tests.pod.pods import Rendered, rendered

EXAMPLES = sorted((Path(__file__).parents[2] / "templates/examples").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"

DEDICATED = """
domain:
  cpu: {{cores: {cores}, dedicatedCpuPlacement: true{more}}}
  memory: {{guest: 1Gi}}
"""
MIB = 1 << 20


def example(path: Path, **choices: Any) -> tuple[Guest, Rendered]:
    document = read_document(str(path))
    arch = "x86_64"
    return admitted(document, arch=arch).guest, rendered(document, folder="/srv", **choices)


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
    lines = list(found.manifest.reasons)
    begin, end = (next(i for i, line in enumerate(lines) if line.startswith(word)) for word in ("memory:", "ephemeral"))
    addends = [re.match(r" +(\d+)Mi  (.*)", line) for line in lines[begin:end]]
    return sum(int(addend[1]) for addend in addends if addend and "guest's memory" not in addend[2].split(",")[0])


def guaranteed(amounts: dict[str, str]) -> dict[str, str]:
    """Return what a Guaranteed Pod has as request and limit alike: of a node's disk neither tells."""
    return {name: amount for name, amount in amounts.items() if name != "ephemeral-storage"}


def big_node(guest: Guest) -> Host:
    """Return a node with room for every example: 2 NUMA nodes of 16 CPUs."""
    return parse_synthetic("node:2 core:8 pu:2")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_examples_pod_is_what_kubernetes_takes_and_asks_for_the_cpus_that_the_planner_counts(path: Path) -> None:
    guest, found = example(path)
    requests = pod_requests(found.pod)
    if guest.cpu.dedicated:
        assert qos_class(requests) is QoSClass.GUARANTEED
        assert guaranteed(found.requests) == guaranteed(found.limits)
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
    assert yaml.safe_load(content_of(found.carrier)["vmi.yaml"]) == yaml.safe_load(path.read_text())
    (volume,) = [volume for volume in found.spec["volumes"] if volume["name"] == "vmi"]
    name = volume["secret"]["secretName"] if found.carrier["kind"] == "Secret" else volume["configMap"]["name"]
    assert name == found.carrier["metadata"]["name"] == f"virt-launcher-{guest.name}"


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
    assert overhead_mebibytes(found) > 150


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
    # QEMU's translated code, without the tables that KVM would have.
    assert overhead_mebibytes(found) == overhead_mebibytes(dedicated()) + 1024 - 2


def test_guests_with_dedicated_cpus_run_on_nodes_that_hand_out_whole_ones() -> None:
    assert dedicated().spec["nodeSelector"] == {"cpumanager": "true"}
    assert "nodeSelector" not in shared().spec


def test_realtime_asks_for_its_nodes_and_its_one_capability() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "realtime"]
    _, found = example(path)
    assert found.spec["nodeSelector"] == {"cpumanager": "true", "kubevirt.io/realtime": "true"}
    assert found.launcher["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_NICE"]}
    assert any("cap_sys_nice" in warning for warning in found.manifest.warnings)


def test_memory_is_bound_by_a_capability_or_by_a_profile_of_the_nodes() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "numa-hugepages"]
    _, found = example(path)
    assert found.launcher["securityContext"]["capabilities"]["add"] == ["SYS_NICE"]
    assert any("templates/seccomp/memory-policy.json" in reason for reason in found.manifest.reasons)
    assert any("--seccomp-profile" in warning for warning in found.manifest.warnings)
    _, with_profile = example(path, seccomp_profile="vl/p.json")
    assert with_profile.launcher["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert with_profile.spec["securityContext"]["seccompProfile"] == {
        "type": "Localhost",
        "localhostProfile": "vl/p.json",
    }
    assert any("capability SYS_NICE" in reason for reason in found.manifest.reasons)
    assert not any("capability SYS_NICE" in reason for reason in with_profile.manifest.reasons)
    assert not any("SYS_NICE" in warning for warning in with_profile.manifest.warnings)


def test_realtime_needs_its_capability_whatever_the_profile() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "realtime"]
    _, found = example(path, seccomp_profile="vl/p.json")
    assert found.launcher["securityContext"]["capabilities"]["add"] == ["SYS_NICE"]


def test_an_isolated_emulator_needs_no_cpu_of_its_own_on_a_node_that_shares_some() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "isolated-iothreads"]
    _, without = example(path)
    _, found = example(path, shared_cpus=True)
    assert (without.limits["cpu"], found.limits["cpu"], found.requests["cpu"]) == ("6", "4", "4")
    assert found.pod["metadata"]["annotations"]["cpu-shared.crio.io/compute"] == "enable"
    assert not [name for name in without.pod["metadata"]["annotations"] if "crio" in name]
    assert "cpu: 4 = 4 vCPUs; the emulator runs on CPUs that the node shares" in found.manifest.reasons


def test_a_guest_that_shares_its_cpus_anyway_is_given_no_others() -> None:
    assert "cpu-shared.crio.io/compute" not in shared(shared_cpus=True).pod["metadata"]["annotations"]


def mixed(**choices: Any) -> Rendered:
    """A guest of four vCPUs of which two are dedicated."""
    annotations = {"virt-launcher/dedicated-vcpus": "0-1", "cpu-quota.crio.io": "enable"}
    spec = "domain: {cpu: {cores: 4, dedicatedCpuPlacement: true, isolateEmulatorThread: true}, memory: {guest: 1Gi}}"
    return rendered(spec, annotations=annotations, **choices)


def test_a_mixed_guest_asks_for_its_dedicated_cpus_one_for_the_others_and_the_emulators() -> None:
    found = mixed()
    assert (found.requests["cpu"], found.limits["cpu"]) == ("4", "4")
    assert "cpu: 4 = 2 dedicated vCPUs + 1 for the emulator + 1 for the vCPUs that share" in found.manifest.reasons
    with_shared = mixed(shared_cpus=True)
    assert with_shared.limits["cpu"] == "2"
    assert (
        "cpu: 2 = 2 vCPUs; the emulator and vCPUs that share run on CPUs that the node shares"
        in with_shared.manifest.reasons
    )


def test_crios_annotations_make_dedicated_cpus_quiet_and_the_manifests_own_win() -> None:
    found = mixed(runtime=Runtime.CRIO, runtime_class="performance-low-latency")
    assert {name: value for name, value in found.pod["metadata"]["annotations"].items() if "crio" in name} == {
        "cpu-c-states.crio.io": "disable",
        "cpu-freq-governor.crio.io": "performance",
        "cpu-load-balancing.crio.io": "disable",
        "cpu-quota.crio.io": "enable",
        "irq-load-balancing.crio.io": "disable",
    }
    assert found.pod["spec"]["runtimeClassName"] == "performance-low-latency"
    assert not [warning for warning in found.manifest.warnings if "--runtime" in warning]
    (warning,) = [warning for warning in mixed(runtime=Runtime.CRIO).manifest.warnings if "--runtime" in warning]
    assert warning.endswith("name it with --runtime-class")


def test_containerd_has_no_such_annotations_and_a_line_says_so() -> None:
    found = mixed(runtime=Runtime.CONTAINERD)
    assert [name for name in found.pod["metadata"]["annotations"] if "crio" in name] == ["cpu-quota.crio.io"]
    (warning,) = [warning for warning in found.manifest.warnings if "--runtime" in warning]
    assert warning.startswith("--runtime containerd: it has no annotation that keeps CPUs quiet")


def test_a_guest_that_shares_its_cpus_anyway_has_no_quiet_ones() -> None:
    assert not [name for name in shared(runtime=Runtime.CRIO).pod["metadata"]["annotations"] if "crio" in name]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"runtime": Runtime.CONTAINERD, "shared_cpus": True}, "--shared-cpus: containerd has no CPUs"),
        ({"runtime_class": "Not A Name"}, "--runtime-class: found 'Not A Name', wanted the name of a RuntimeClass"),
        ({"runtime_class": ""}, "--runtime-class: found '', wanted the name of a RuntimeClass"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        mixed(**choices)


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


MISSHAPEN = [
    ("nodeSelector: [a]", r"spec.nodeSelector: a list is not a mapping"),
    ("nodeSelector: {a: 1}", r"spec.nodeSelector.a: 1 is not text"),
    ("nodeSelector: {'a b': c}", r"spec.nodeSelector\['a b'\]: 'a b': 'c' is no label that a node can have"),
    ("affinity: [a]", r"spec.affinity: a list is not a mapping"),
    ("tolerations: {key: a}", r"spec.tolerations: a mapping is not a list"),
    ("tolerations: [a]", r"spec.tolerations\[0\]: 'a' is not a mapping"),
    ("topologySpreadConstraints: [null]", r"spec.topologySpreadConstraints\[0\]: null is not an item"),
    ("schedulerName: 1", r"spec.schedulerName: 1 is not text"),
]


@pytest.mark.parametrize(("wish", "message"), MISSHAPEN, ids=[row[0] for row in MISSHAPEN])
def test_a_wish_that_no_pod_can_have_is_refused(wish: str, message: str) -> None:
    with pytest.raises(InvalidVMI, match=message):
        shared(more=wish)


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
    place = "/var/run/virt-launcher-cache"
    source = {"path": "/var/cache/virt-launcher", "type": "Directory"}
    assert found.mount(place) == {"hostPath": source, "readOnly": True}, "what one Pod writes another would believe"
    assert found.launcher["args"][-2:] == ["--cache", place]


def test_names_stay_dns_labels_however_long_the_guests_is() -> None:
    name = "g" * 63
    document = read_document(str(EXAMPLES[0]))
    document.root["metadata"] = {"name": name, "labels": {"app": "db"}}
    found = rendered(document, folder="/srv")
    assert found.pod["metadata"]["name"] == found.carrier["metadata"]["name"]
    assert found.pod["metadata"]["labels"]["app.kubernetes.io/instance"] == name
    assert found.pod["metadata"]["labels"]["app"] == "db"


def test_a_virtual_machines_pod_is_its_templates() -> None:
    document = read_document(str(EXAMPLES[0]))
    spec = document.root.pop("spec")
    template: dict[str, Value] = {"metadata": {"labels": {"app": "db"}}, "spec": spec}
    document.root.update(kind="VirtualMachine", spec={"runStrategy": "Always", "template": template})
    found = rendered(document, folder="/srv")
    assert found.pod["metadata"]["labels"]["app"] == "db"
    assert yaml.safe_load(content_of(found.carrier)["vmi.yaml"])["kind"] == "VirtualMachine"


def test_the_reasons_are_comments_above_the_stream() -> None:
    text = dedicated().manifest.to_yaml(explain=True)
    comments = list(takewhile(lambda line: line.startswith("#"), text.splitlines()))
    assert comments[0] == "# cpu: 4 = 4 vCPUs"
    assert text.count("#") == len(comments)
    assert "#" not in dedicated().manifest.to_yaml()

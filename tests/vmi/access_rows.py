"""The rows of the admission tests that are about credentials, probes, shared file systems and what needs no disk."""

from __future__ import annotations

from tests.vmi.machine_rows import NO_OBJECT, cards
from tests.vmi.manifests import Changes

CREDENTIALS = "spec.accessCredentials"
FILESYSTEMS = "spec.domain.devices.filesystems"
DISKS = "spec.domain.devices.disks"
VOLUMES = "spec.volumes"
KERNEL = "spec.domain.firmware.kernelBoot"
READY = "spec.readinessProbe"
LIVE = "spec.livenessProbe"
SECRET: dict[str, object] = {"secret": {"secretName": "keys"}}
SHAREABLE = (
    *("persistentVolumeClaim", "dataVolume", "configMap", "secret", "downwardAPI", "serviceAccount", "containerPath"),
)
OWN = "/var/run/kubevirt and /var/run/libvirt and /var/run/virt-launcher"
CARDS = cards({"passtBinding": {}, "ports": [{"port": 80, "name": "web"}]})


def _keys(method: dict[str, object], source: dict[str, object] = SECRET) -> Changes:
    return {CREDENTIALS: [{"sshPublicKey": {"source": source, "propagationMethod": method}}]}


def _shared(source: dict[str, object], name: str = "v") -> Changes:
    return {
        DISKS: [],
        VOLUMES: [{"name": name, **source}],
        FILESYSTEMS: [{"name": name, "virtiofs": {}}],
    }


ACCESS_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    (
        "keys_and_a_password_at_once",
        {
            CREDENTIALS: [
                {
                    "sshPublicKey": {"source": SECRET, "propagationMethod": {"qemuGuestAgent": {"users": ["root"]}}},
                    "userPassword": {"source": SECRET, "propagationMethod": {"qemuGuestAgent": {}}},
                }
            ]
        },
        [(f"{CREDENTIALS}[0]", "wanted one of sshPublicKey and userPassword")],
    ),
    (
        "keys_by_a_disc_that_is_not_there",
        _keys({"noCloud": {}}),
        [
            (
                f"{CREDENTIALS}[0].sshPublicKey.propagationMethod.noCloud",
                f"needs a cloudInitNoCloud volume, and there is none ({VOLUMES})",
            )
        ],
    ),
    (
        "keys_by_two_ways",
        _keys({"configDrive": {}, "qemuGuestAgent": {"users": []}}),
        [
            (
                f"{CREDENTIALS}[0].sshPublicKey.propagationMethod",
                "wanted one of noCloud, configDrive and qemuGuestAgent",
            ),
            (
                f"{CREDENTIALS}[0].sshPublicKey.propagationMethod.configDrive",
                f"needs a cloudInitConfigDrive volume, and there is none ({VOLUMES})",
            ),
            (
                f"{CREDENTIALS}[0].sshPublicKey.propagationMethod.qemuGuestAgent.users",
                "missing; wanted the users who get the keys",
            ),
        ],
    ),
    (
        "keys_for_nobody_from_nowhere",
        _keys({"qemuGuestAgent": {"users": ["a b"]}}, {}),
        [
            (f"{CREDENTIALS}[0].sshPublicKey.source.secret", "missing"),
            (
                f"{CREDENTIALS}[0].sshPublicKey.propagationMethod.qemuGuestAgent.users[0]",
                "'a b' is not the name of a user",
            ),
        ],
    ),
    (
        "a_password_of_no_secret",
        {CREDENTIALS: [{"userPassword": {"source": {"secret": {"secretName": "../s"}}, "propagationMethod": {}}}]},
        [
            (f"{CREDENTIALS}[0].userPassword.source.secret.secretName", f"'../s' {NO_OBJECT}"),
            (f"{CREDENTIALS}[0].userPassword.propagationMethod", "missing; wanted qemuGuestAgent"),
        ],
    ),
    (
        "a_probe_of_two_kinds",
        {**CARDS, READY: {"tcpSocket": {"port": 80}, "guestAgentPing": {}}},
        [(READY, "is tcpSocket and guestAgentPing at once; wanted one of httpGet, tcpSocket, exec, guestAgentPing")],
    ),
    (
        "probes_of_nothing",
        {READY: {"periodSeconds": 5}, LIVE: {"exec": {}, "successThreshold": 2}},
        [
            (READY, "asks for nothing; wanted one of httpGet, tcpSocket, exec, guestAgentPing"),
            (f"{LIVE}.exec.command", "missing"),
            (f"{LIVE}.successThreshold", "is 1 for a livenessProbe, or left out"),
        ],
    ),
    (
        "a_probe_of_a_port_that_nobody_has",
        {**CARDS, READY: {"httpGet": {"port": "https"}}, LIVE: {"tcpSocket": {"port": 70000}}},
        [
            (f"{READY}.httpGet.port", "'https' is not a port from 1 to 65535, nor the name of a card's port"),
            (f"{LIVE}.tcpSocket.port", "70000 is not a port from 1 to 65535, nor the name of a card's port"),
        ],
    ),
    (
        "a_probe_over_a_network_that_is_not_there",
        {
            **cards({"bridge": {}}, network={"multus": {"networkName": "lan"}}),
            READY: {"httpGet": {"port": 80}},
        },
        [(f"{READY}.httpGet", "needs the Pod's own network, and the guest is not on it (spec.networks)")],
    ),
    (
        "a_file_system_of_no_volume",
        {FILESYSTEMS: [{"name": "w", "virtiofs": {}}]},
        [(f"{FILESYSTEMS}[0].name", f"no volume is called 'w' ({VOLUMES})")],
    ),
    (
        "a_file_system_of_an_image",
        _shared({"emptyDisk": {"capacity": "1Gi"}}),
        [
            (
                f"{FILESYSTEMS}[0].name",
                f"its volume, emptyDisk, is no folder; wanted {', '.join(SHAREABLE)}",
            )
        ],
    ),
    (
        "a_file_system_and_a_disk_of_one_volume",
        {**_shared({"configMap": {"name": "c"}}), DISKS: [{"name": "v", "disk": {"bus": "virtio"}}]},
        [(f"{FILESYSTEMS}[0].name", f"'v' is the volume of a disk, too ({DISKS})")],
    ),
    (
        "a_tag_that_is_too_long",
        _shared({"configMap": {"name": "c"}}, "v" * 37),
        [
            (
                f"{FILESYSTEMS}[0].name",
                f"'{'v' * 37}' is longer than 36 characters, all that a virtio file system has",
            )
        ],
    ),
    (
        "a_path_of_the_container_as_a_disk",
        {DISKS: [{"name": "v", "disk": {"bus": "virtio"}}], VOLUMES: [{"name": "v", "containerPath": {"path": "/x"}}]},
        [(f"{VOLUMES}[0].containerPath", f"needs a file system of its name ({FILESYSTEMS})")],
    ),
    (
        "a_path_of_the_launchers_own",
        _shared({"containerPath": {"path": "/var/run/kubevirt/x"}}),
        [
            (
                f"{VOLUMES}[0].containerPath.path",
                f"'/var/run/kubevirt/x' is the launcher's own: {OWN} are",
            )
        ],
    ),
    (
        "a_relative_path_of_the_container",
        _shared({"containerPath": {"path": "x"}}),
        [(f"{VOLUMES}[0].containerPath.path", "'x' is not an absolute path in the launcher's container")],
    ),
    (
        "a_disk_of_a_memory_dump",
        {
            DISKS: [{"name": "v", "disk": {"bus": "virtio"}}],
            VOLUMES: [{"name": "v", "memoryDump": {"claimName": "../c"}}],
        },
        [
            (f"{VOLUMES}[0].memoryDump.claimName", f"'../c' {NO_OBJECT}"),
            (f"{DISKS}[0].name", "its volume, memoryDump, is what KubeVirt dumps memory into, and no disk"),
        ],
    ),
    (
        "an_answer_file_from_nowhere",
        {DISKS: [{"name": "v", "cdrom": {"bus": "sata"}}], VOLUMES: [{"name": "v", "sysprep": {}}]},
        [
            (
                f"{VOLUMES}[0].sysprep",
                "wanted one of configMap and secret, with autounattend.xml or unattend.xml in it",
            )
        ],
    ),
    (
        "a_kernel_from_no_image",
        {KERNEL: {"container": {"image": "a b", "kernelPath": "k"}}},
        [
            (f"{KERNEL}.container.image", "'a b' is not the name of a container image"),
            (f"{KERNEL}.container.kernelPath", "'k' is not an absolute path inside of the image"),
        ],
    ),
]
METRICS_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    (
        "figures_twice",
        {
            DISKS: [{"name": name, "disk": {"bus": "virtio"}} for name in "ab"],
            VOLUMES: [{"name": name, "downwardMetrics": {}} for name in "ab"],
        },
        [(f"{VOLUMES}[1].downwardMetrics", f"there is one already, {VOLUMES}[0].downwardMetrics; a guest has one")],
    ),
]
ACCESS_ACCEPTED: list[tuple[str, Changes]] = [
    (
        "figures_as_a_disk_and_over_a_port",
        {
            DISKS: [{"name": "v", "disk": {"bus": "virtio"}}],
            VOLUMES: [{"name": "v", "downwardMetrics": {}}],
            "spec.domain.devices.downwardMetrics": {},
        },
    ),
    ("keys_by_the_agent", _keys({"qemuGuestAgent": {"users": ["root", "john.doe"]}})),
    (
        "probes_by_the_network",
        {**CARDS, READY: {"httpGet": {"port": "web"}, "successThreshold": 3}, LIVE: {"tcpSocket": {"port": "80"}}},
    ),
    ("probes_by_the_agent", {READY: {"guestAgentPing": {}}, LIVE: {"exec": {"command": ["true"]}}}),
    ("a_file_system_of_a_claim", _shared({"persistentVolumeClaim": {"claimName": "c"}})),
    ("a_file_system_of_a_path", _shared({"containerPath": {"path": "/var/run/secrets/tokens", "readOnly": True}})),
    ("a_memory_dump_without_a_disk", {DISKS: [], VOLUMES: [{"name": "v", "memoryDump": {"claimName": "c"}}]}),
    (
        "an_answer_file",
        {
            DISKS: [{"name": "v", "cdrom": {"bus": "sata"}}],
            VOLUMES: [{"name": "v", "sysprep": {"configMap": {"name": "c"}}}],
        },
    ),
]

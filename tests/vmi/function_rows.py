"""The rows of the admission tests that are about virtual functions, places on the PCI bus, DHCP and ACPI tables."""

from __future__ import annotations

from tests.vmi.machine_rows import INTERFACES, MULTUS, NETWORKS, POD, cards
from tests.vmi.manifests import Changes

DISKS = "spec.domain.devices.disks"
CLAIMS = "spec.resourceClaims"
ACPI = "spec.domain.firmware.acpi"
CLAIMED: dict[str, object] = {"resourceClaim": {"claimName": "c", "requestName": "vf"}}
CLAIM: Changes = {CLAIMS: [{"name": "c", "resourceClaimName": "mine"}]}
NO_PLACE = "is not an address on the guest's PCI buses such as 0000:07:00.0"
NOT_ABSENT = "only a card on a bridge to a multus network can be absent; take interface and network out"


def _wishes(**options: object) -> Changes:
    return cards({"masquerade": {}, "dhcpOptions": options})


def _ranges(*ranges: tuple[int, int], **more: object) -> Changes:
    wanted = [{"start": start, "end": end, "protocol": "TCP"} for start, end in ranges]
    return cards({"masquerade": {}, "portRanges": wanted, **more})


FUNCTION_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    ("a_virtual_function_of_the_pods_network", cards({"sriov": {}}), [
        (f"{INTERFACES}[0]", "sriov needs a multus network, or a resourceClaim; for the Pod's own wanted masquerade"),
    ]),
    ("a_virtual_function_whose_link_is_set", cards({"sriov": {}, "state": "down"}, network=MULTUS), [
        (f"{INTERFACES}[0].state", "the link of a virtual function is its network card's to set; leave it out"),
    ]),
    ("a_claims_network_on_a_bridge", {**cards({"slirp": {}}, network=CLAIMED), **CLAIM}, [
        (f"{INTERFACES}[0]", "is on network 'net0', a resource claim's; wanted sriov"),
    ]),
    ("a_network_of_a_claim_that_is_not_listed", cards({"sriov": {}}, network=CLAIMED), [
        (f"{NETWORKS}[0].resourceClaim.claimName", f"'c' is not in {CLAIMS}"),
    ]),
    ("a_network_of_half_a_claim", {**cards({"sriov": {}}, network={"resourceClaim": {"claimName": "c"}}), **CLAIM}, [
        (f"{NETWORKS}[0].resourceClaim.requestName",
         "missing; a claim's request is named by claimName and requestName"),
    ]),
    ("two_networks_of_one_request", {**cards({"sriov": {}}, {"sriov": {}}, network=CLAIMED), **CLAIM}, [
        (f"{NETWORKS}[1]", f"is the resource claim's request of {NETWORKS}[0], too"),
    ]),
    ("networks_of_multus_and_of_claims",
     {**cards({"sriov": {}}, {"sriov": {}}), **CLAIM,
      NETWORKS: [{"name": "net0", **CLAIMED}, {"name": "net1", **MULTUS}]},
     [(NETWORKS, "some are multus and some a resource claim's; KubeVirt takes one kind at a time")]),
    ("a_place_that_is_none", cards({"slirp": {}, "pciAddress": "07:00.0"}), [
        (f"{INTERFACES}[0].pciAddress", f"'07:00.0' {NO_PLACE}"),
    ]),
    ("a_place_of_two_devices",
     {**cards({"slirp": {}, "pciAddress": "0000:0A:00.0"}),
      f"{DISKS}[0].disk": {"bus": "virtio", "pciAddress": "0000:0a:00.0"}},
     [(f"{INTERFACES}[0].pciAddress", f"'0000:0A:00.0' is that of {DISKS}[0].disk.pciAddress, too")]),
    ("a_place_of_a_disk_that_is_on_another_bus", {f"{DISKS}[0].disk": {"bus": "scsi", "pciAddress": "0000:0a:00.0"}}, [
        (f"{DISKS}[0].disk.pciAddress",
         "only a disk with bus: virtio is on the PCI bus; say that bus, or leave the address out"),
    ]),
    ("a_time_server_that_is_none", _wishes(ntpServers=["10.0.0.1", "time.example"]), [
        (f"{INTERFACES}[0].dhcpOptions.ntpServers[1]", "'time.example' is not an IPv4 address"),
    ]),
    ("an_option_that_is_not_private", _wishes(privateOptions=[{"option": 66, "value": "x"}]), [
        (f"{INTERFACES}[0].dhcpOptions.privateOptions[0].option", "66 is not from 224 to 254"),
    ]),
    ("a_private_option_twice", _wishes(privateOptions=[{"option": 240, "value": "x"}] * 2), [
        (f"{INTERFACES}[0].dhcpOptions.privateOptions[1].option", "240 is that of privateOptions[0], too"),
    ]),
    ("a_range_of_ports_of_a_bridge", cards({"slirp": {}, "portRanges": [{"start": 1, "end": 2, "protocol": "TCP"}]}), [
        (f"{INTERFACES}[0].portRanges", "only masquerade has ranges of ports; wanted ports"),
    ]),
    ("a_range_of_ports_beside_ports", _ranges((1, 2), ports=[{"port": 9}]), [
        (f"{INTERFACES}[0].portRanges", "has ports beside it; wanted one of them"),
    ]),
    ("a_range_that_ends_before_it_starts", _ranges((3, 2)), [
        (f"{INTERFACES}[0].portRanges[0].start", "3 is more than end, 2"),
    ]),
    ("ranges_that_overlap", _ranges((1, 5), (7, 9), (5, 6)), [
        (f"{INTERFACES}[0].portRanges[2]", "overlaps with portRanges[0]"),
    ]),
    ("too_many_ranges", _ranges(*((port, port) for port in range(1, 12))), [
        (f"{INTERFACES}[0].portRanges", "11 ranges; wanted at most 10"),
    ]),
    ("too_many_ports", _ranges((1000, 2024)), [
        (f"{INTERFACES}[0].portRanges", "1025 ports; wanted at most 1024, or no ports, for passt forwards all then"),
    ]),
    ("a_card_of_the_pods_network_that_is_absent", cards({"bridge": {}, "state": "absent"}), [
        (f"{INTERFACES}[0].state", NOT_ABSENT),
    ]),
    ("a_tap_that_is_absent", cards({"binding": {"name": "tap"}, "state": "absent"}, network=MULTUS), [
        (f"{INTERFACES}[0].state", NOT_ABSENT),
    ]),
    ("no_acpi_table", {ACPI: {}}, [
        (ACPI, "names no table; wanted slicNameRef or msdmNameRef, a volume that is a secret"),
    ]),
    ("acpi_tables_of_no_secret", {ACPI: {"slicNameRef": "nobody", "msdmNameRef": "root"}}, [
        (f"{ACPI}.slicNameRef", "no volume is called 'nobody' (spec.volumes)"),
        (f"{ACPI}.msdmNameRef", "the volume 'root' is no secret, with msdm.bin in it"),
    ]),
    ("a_granularity_between_two_blocks",
     {f"{DISKS}[0].blockSize": {"custom": {"logical": 4096, "physical": 4096, "discardGranularity": 6144}}},
     [(f"{DISKS}[0].blockSize.custom.discardGranularity",
       f"6144 is not a multiple of {DISKS}[0].blockSize.custom.logical, 4096")]),
]  # fmt: skip

FUNCTION_ACCEPTED: list[tuple[str, Changes]] = [
    ("a_virtual_function_of_a_claim", {**cards({"sriov": {}}, network=CLAIMED), **CLAIM}),
    ("a_virtual_function_beside_the_pods_network", {
        INTERFACES: [
            {"name": "a", "masquerade": {}},
            {"name": "b", "sriov": {}, "model": "virtio", "macAddress": "02:00:00:00:00:01", "bootOrder": 9,
             "pciAddress": "0000:07:00.0", "tag": "fast"},
        ],
        NETWORKS: [{"name": "a", **POD}, {"name": "b", "multus": {"networkName": "ns/sriov"}}],
    }),
    ("whatever_dhcp_is_to_say", _wishes(
        bootFileName="pxe.0", tftpServerName="tftp.example", ntpServers=["10.0.0.1"],
        privateOptions=[{"option": 224, "value": "a"}, {"option": 254, "value": "b"}],
    )),
    ("a_card_that_was_unplugged", cards({"bridge": {}, "state": "absent"}, network=MULTUS)),
    ("ranges_of_ports", _ranges((1, 1), (1001, 2023))),
    ("a_tag_of_a_disk", {f"{DISKS}[0].tag": "root"}),
    ("openshifts_bridge", cards({"binding": {"name": "l2bridge"}})),
]  # fmt: skip

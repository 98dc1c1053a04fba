"""The rows of the admission tests that are about the board, the CPU's features, networks and other devices."""

from __future__ import annotations

from tests.vmi.manifests import Changes

NO_PLUGIN = (
    "is a plugin that an administrator adds to KubeVirt, and is not here; "
    "wanted passt, slirp, tap, macvtap, l2bridge, or masquerade: {}"
)
DEVICES = "spec.domain.devices"
DISKS = f"{DEVICES}.disks"
INTERFACES = f"{DEVICES}.interfaces"
NETWORKS = "spec.networks"
CPU_FEATURES = "spec.domain.cpu.features"
FEATURES = "spec.domain.features"
HYPERV = f"{FEATURES}.hyperv"
CLOCK = "spec.domain.clock"
FIRMWARE = "spec.domain.firmware"
EFI = f"{FIRMWARE}.bootloader.efi"
NO_LABEL = "is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last -"
OLD_MACVTAP = (
    "discontinued by KubeVirt; wanted binding: {name: macvtap}, with a multus network whose device is a macvtap"
)
NO_CARD = "is not 1 to 63 of A-Z, a-z, 0-9, - and _"
NO_MAC = "is not the MAC address of one card such as 52:54:00:12:34:56"
NO_DEVICE = (
    "names no NetworkAttachmentDefinition, with a device of 1 to 15 characters after an @ or none; "
    "wanted [namespace/]name[@device]"
)
NO_OBJECT = "is not the name of a Kubernetes object: labels of a-z, 0-9 and -, with dots between them"
NO_VENDOR = "is not a name of 1 to 12 printable characters without comma"
NO_ZONE = "is not a time zone such as Europe/Berlin"
MULTUS: dict[str, object] = {"multus": {"networkName": "br0"}}
POD: dict[str, object] = {"pod": {}}
ARM: Changes = {"spec.architecture": "arm64", f"{DISKS}[0].disk.bus": "virtio"}


def cards(*cards: dict[str, object], network: dict[str, object] = POD) -> Changes:
    """Return the change that gives the guest these network cards, called net0, net1, ..., each on such a network."""
    return {
        INTERFACES: [{"name": f"net{index}", **card} for index, card in enumerate(cards)],
        NETWORKS: [{"name": f"net{index}", **network} for index, _ in enumerate(cards)],
    }


def _card(**fields: object) -> Changes:
    return cards({"slirp": {}, **fields})


def _hyperv(**features: object) -> Changes:
    return {HYPERV: features}


def _named(network: str) -> Changes:
    return cards({"bridge": {}}, network={"multus": {"networkName": network}})


# (sentence, changes to a valid manifest, every fault)
MACHINE_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    (
        "a_cpu_feature_that_is_an_option",
        {CPU_FEATURES: [{"name": "vmx,+svm"}]},
        [(f"{CPU_FEATURES}[0].name", "'vmx,+svm' is not the name of a CPU feature such as vmx")],
    ),
    (
        "a_cpu_feature_twice",
        {CPU_FEATURES: [{"name": "vmx"}, {"name": "vmx", "policy": "disable"}]},
        [(f"{CPU_FEATURES}[1].name", f"'vmx' is the feature of {CPU_FEATURES}[0], too")],
    ),
    (
        "a_policy_that_nobody_has",
        {CPU_FEATURES: [{"name": "vmx", "policy": "want"}]},
        [
            (
                f"{CPU_FEATURES}[0].policy",
                "'want' is not one of force, require, optional, disable, forbid",
            )
        ],
    ),
    (
        "a_host_model_on_arm64",
        {"spec.domain.cpu.model": "host-model", **ARM},
        [
            (
                "spec.domain.cpu.model",
                "libvirt has no host-model for arm64; wanted host-passthrough or the name of a CPU model",
            )
        ],
    ),
    (
        "features_that_arm64_lacks",
        {FEATURES: {"apic": {}, "pvspinlock": {}, "kvm": {"hidden": True}, "acpi": {}}, **ARM},
        [
            (f"{FEATURES}.apic", "arm64 guests have no apic"),
            (f"{FEATURES}.kvm", "arm64 guests have no kvm"),
            (f"{FEATURES}.pvspinlock", "arm64 guests have no pvspinlock"),
        ],
    ),
    (
        "timers_that_arm64_lacks",
        {f"{CLOCK}.timer": {"hpet": {}, "pit": {}, "rtc": {"track": "guest"}}, **ARM},
        [
            (f"{CLOCK}.timer.hpet", "arm64 guests have no hpet"),
            (f"{CLOCK}.timer.pit", "arm64 guests have no pit"),
        ],
    ),
    (
        "an_end_of_interrupt_without_apic",
        {f"{FEATURES}.apic": {"enabled": False, "endOfInterrupt": True}},
        [(f"{FEATURES}.apic.endOfInterrupt", f"needs {FEATURES}.apic.enabled: true")],
    ),
    (
        "enlightenments_whose_need_is_turned_off",
        _hyperv(synic={}, tlbflush={}, ipi={}, evmcs={}, vpindex={"enabled": False}, vapic={"enabled": False}),
        [
            (f"{HYPERV}.synic", f"needs {HYPERV}.vpindex, which is off"),
            (f"{HYPERV}.tlbflush", f"needs {HYPERV}.vpindex, which is off"),
            (f"{HYPERV}.ipi", f"needs {HYPERV}.vpindex, which is off"),
            (f"{HYPERV}.evmcs", f"needs {HYPERV}.vapic, which is off"),
        ],
    ),
    (
        "synthetic_timers_whose_controller_and_clock_are_turned_off",
        {**_hyperv(synictimer={}, synic={"enabled": False}), CLOCK: {"timer": {"hyperv": {"present": False}}}},
        [
            (f"{HYPERV}.synictimer", f"needs {HYPERV}.synic, which is off"),
            (f"{HYPERV}.synictimer", f"needs {CLOCK}.timer.hyperv, which is off"),
        ],
    ),
    (
        "enlightenments_named_and_passed_through",
        {**_hyperv(relaxed={}), f"{FEATURES}.hypervPassthrough": {"enabled": True}},
        [(f"{FEATURES}.hypervPassthrough", f"excludes {HYPERV}; wanted one of the two")],
    ),
    (
        "enlightenments_passed_through_or_not",
        {f"{FEATURES}.hypervPassthrough": {}},
        [(f"{FEATURES}.hypervPassthrough.enabled", "missing; wanted true or false")],
    ),
    (
        "too_few_spins",
        _hyperv(spinlocks={"spinlocks": 4094}),
        [(f"{HYPERV}.spinlocks.spinlocks", "4094 is less than 4095")],
    ),
    (
        "spins_that_are_off",
        _hyperv(spinlocks={"spinlocks": 8191, "enabled": False}),
        [(f"{HYPERV}.spinlocks.spinlocks", f"needs {HYPERV}.spinlocks.enabled: true")],
    ),
    (
        "a_vendor_without_a_name",
        _hyperv(vendorid={}),
        [(f"{HYPERV}.vendorid.vendorid", "missing; an enabled vendorid needs it")],
    ),
    (
        "a_vendor_with_a_comma",
        _hyperv(vendorid={"vendorid": "a,kvm=on"}),
        [(f"{HYPERV}.vendorid.vendorid", f"'a,kvm=on' {NO_VENDOR}")],
    ),
    (
        "a_vendor_of_thirteen",
        _hyperv(vendorid={"vendorid": "x" * 13}),
        [(f"{HYPERV}.vendorid.vendorid", f"'{'x' * 13}' {NO_VENDOR}")],
    ),
    (
        "the_name_of_a_vendor_that_is_off",
        _hyperv(vendorid={"vendorid": "x", "enabled": False}),
        [(f"{HYPERV}.vendorid.vendorid", f"needs {HYPERV}.vendorid.enabled: true")],
    ),
    (
        "a_clock_of_two_kinds",
        {CLOCK: {"utc": {}, "timezone": "Europe/Berlin"}},
        [(CLOCK, "is utc and timezone at once; wanted one of them")],
    ),
    (
        "a_time_zone_that_is_a_file",
        {CLOCK: {"timezone": "../../etc/shadow"}},
        [(f"{CLOCK}.timezone", f"'../../etc/shadow' {NO_ZONE}")],
    ),
    ("a_time_zone_from_a_root", {CLOCK: {"timezone": ":/x"}}, [(f"{CLOCK}.timezone", f"':/x' {NO_ZONE}")]),
    (
        "ticks_that_are_merged",
        {CLOCK: {"timer": {"pit": {"tickPolicy": "merge"}}}},
        [(f"{CLOCK}.timer.pit.tickPolicy", "'merge' is not one of delay, catchup, discard")],
    ),
    (
        "two_kinds_of_firmware",
        {f"{FIRMWARE}.bootloader": {"bios": {}, "efi": {"secureBoot": False}}},
        [(f"{FIRMWARE}.bootloader", "is bios and efi at once; wanted one of them")],
    ),
    (
        "a_bios_that_prints_nowhere",
        {f"{FIRMWARE}.bootloader.bios": {"useSerial": True}, f"{DEVICES}.autoattachSerialConsole": False},
        [(f"{FIRMWARE}.bootloader.bios.useSerial", f"needs {DEVICES}.autoattachSerialConsole: true")],
    ),
    (
        "secure_boot_by_default_without_smm",
        {EFI: {}},
        [(f"{EFI}.secureBoot", f"needs {FEATURES}.smm; without secure boot set it to false")],
    ),
    (
        "secure_boot_with_smm_turned_off",
        {EFI: {"secureBoot": True}, f"{FEATURES}.smm": {"enabled": False}},
        [(f"{EFI}.secureBoot", f"needs {FEATURES}.smm; without secure boot set it to false")],
    ),
    (
        "secure_boot_on_arm64",
        {EFI: {}, **ARM},
        [(f"{EFI}.secureBoot", "arm64 guests have no secure boot; set it to false")],
    ),
    (
        "a_serial_number_with_a_newline",
        {f"{FIRMWARE}.serial": "a\nb"},
        [(f"{FIRMWARE}.serial", "'a\\nb' holds the character 0x0a; wanted printable text")],
    ),
    (
        "a_chassis_with_blanks_and_too_long_a_name",
        {"spec.domain.chassis": {"sku": " a", "manufacturer": "x" * 256}},
        [
            ("spec.domain.chassis.manufacturer", f"'{'x' * 57}'... is longer than 255 bytes"),
            ("spec.domain.chassis.sku", "' a' begins or ends with a blank, which SMBIOS does not keep"),
        ],
    ),
    (
        "a_card_with_a_path_for_a_name",
        {INTERFACES: [{"name": "../a", "slirp": {}}], NETWORKS: [{"name": "../a", "pod": {}}]},
        [(f"{INTERFACES}[0].name", f"'../a' {NO_CARD}"), (f"{NETWORKS}[0].name", f"'../a' {NO_CARD}")],
    ),
    (
        "a_card_twice",
        {INTERFACES: [{"name": "a", "slirp": {}}] * 2, NETWORKS: [{"name": "a", "pod": {}}]},
        [(f"{INTERFACES}[1].name", f"'a' is the name of {INTERFACES}[0], too")],
    ),
    (
        "a_card_and_a_network_that_miss_each_other",
        {INTERFACES: [{"name": "a", "slirp": {}}], NETWORKS: [{"name": "b", "pod": {}}]},
        [
            (f"{INTERFACES}[0].name", f"no network is called 'a' ({NETWORKS})"),
            (f"{NETWORKS}[0].name", f"no interface is called 'b' ({INTERFACES})"),
        ],
    ),
    (
        "a_network_of_nothing",
        cards({"slirp": {}}, network={}),
        [(f"{NETWORKS}[0]", "has no source; wanted pod, multus or resourceClaim")],
    ),
    (
        "a_network_of_two_kinds",
        cards({"bridge": {}}, network={**POD, **MULTUS}),
        [
            (f"{NETWORKS}[0]", "is pod and multus at once; wanted pod, multus or resourceClaim"),
        ],
    ),
    (
        "a_device_with_too_long_a_name",
        _named(f"lan@{'a' * 16}"),
        [(f"{NETWORKS}[0].multus.networkName", f"'lan@{'a' * 16}' {NO_DEVICE}")],
    ),
    (
        "a_network_that_is_a_path",
        _named("a/../br0"),
        [(f"{NETWORKS}[0].multus.networkName", f"'a/../br0' {NO_DEVICE}")],
    ),
    ("a_network_in_no_namespace", _named("../lan"), [(f"{NETWORKS}[0].multus.networkName", f"'..' {NO_LABEL}")]),
    ("a_network_of_no_object", _named("vms/Lan"), [(f"{NETWORKS}[0].multus.networkName", f"'Lan' {NO_OBJECT}")]),
    (
        "a_device_twice",
        cards({"bridge": {}}, {"bridge": {}}, network={"multus": {"networkName": "lan@net1"}}),
        [(f"{NETWORKS}[1].multus.networkName", f"the device net1 is that of {NETWORKS}[0], too")],
    ),
    (
        "a_default_network_beside_the_pods_own",
        {
            INTERFACES: [{"name": "a", "slirp": {}}, {"name": "b", "slirp": {}}],
            NETWORKS: [{"name": "a", "pod": {}}, {"name": "b", "multus": {"networkName": "lan", "default": True}}],
        },
        [
            (
                f"{NETWORKS}[0]",
                f"{NETWORKS}[1], multus with default: true, is the Pod's own network already; a Pod has one",
            )
        ],
    ),
    (
        "two_default_networks",
        cards({"slirp": {}}, {"slirp": {}}, network={"multus": {"networkName": "lan", "default": True}}),
        [
            (
                f"{NETWORKS}[1]",
                f"{NETWORKS}[0], multus with default: true, is the Pod's own network already; a Pod has one",
            )
        ],
    ),
    (
        "a_default_network_with_a_device",
        cards({"slirp": {}}, network={"multus": {"networkName": "lan@net1", "default": True}}),
        [(f"{NETWORKS}[0].multus.networkName", "the device of a default network is eth0, not after an @")],
    ),
    ("a_device_of_no_name", _named("vms/lan@"), [(f"{NETWORKS}[0].multus.networkName", f"'vms/lan@' {NO_DEVICE}")]),
    (
        "a_card_without_binding",
        cards({}),
        [
            (
                f"{INTERFACES}[0]",
                (
                    "has no binding; wanted masquerade, bridge, sriov or slirp, or passt, slirp, tap, macvtap, "
                    "l2bridge as a binding's name"
                ),
            )
        ],
    ),
    (
        "a_binding_that_kubevirt_discontinued",
        cards({"passt": {}}),
        [
            (
                f"{INTERFACES}[0].passt",
                "discontinued by KubeVirt since 1.3; wanted passtBinding: {}, or binding: {name: passt}",
            )
        ],
    ),
    (
        "a_card_with_two_bindings",
        cards({"slirp": {}, "passt": {}}),
        [(f"{INTERFACES}[0]", "is slirp and passt at once; wanted one of them")],
    ),
    (
        "a_plugin_that_is_not_here",
        cards({"binding": {"name": "vhostuser"}}),
        [
            (
                f"{INTERFACES}[0].binding.name",
                f"'vhostuser' {NO_PLUGIN}",
            )
        ],
    ),
    (
        "masquerade_into_a_bridge",
        cards({"masquerade": {}}, network=MULTUS),
        [
            (
                f"{INTERFACES}[0]",
                "masquerade leads into the pod network, and its network is multus; wanted bridge or tap",
            )
        ],
    ),
    (
        "networks_that_are_none_or_too_small",
        cards({"masquerade": {}}, network={"pod": {"vmNetworkCIDR": "10.0.2.1/24", "vmIPv6NetworkCIDR": "fd::/126"}}),
        [
            (
                f"{NETWORKS}[0].pod.vmNetworkCIDR",
                "'10.0.2.1/24' is not a network of 16 addresses or more such as 10.0.2.0/24",
            ),
            (
                f"{NETWORKS}[0].pod.vmIPv6NetworkCIDR",
                "'fd::/126' is not a network of 16 addresses or more such as fd10:0:2::/120",
            ),
        ],
    ),
    (
        "user_networking_into_a_bridge",
        cards({"passtBinding": {}}, network=MULTUS),
        [(f"{INTERFACES}[0]", "passt leads into the pod network, and its network is multus; wanted bridge or tap")],
    ),
    (
        "a_tap_into_the_pod_network",
        cards({"binding": {"name": "tap"}}),
        [
            (
                f"{INTERFACES}[0]",
                "tap needs a multus network; for the Pod's own network wanted masquerade",
            )
        ],
    ),
    (
        "a_port_for_two_cards",
        cards(
            {"passtBinding": {}, "ports": [{"port": 80}]},
            {"passtBinding": {}, "ports": [{"port": 80, "protocol": "TCP"}]},
        ),
        [(f"{INTERFACES}[1].ports[0]", f"TCP 80 is {INTERFACES}[0].ports[0], too")],
    ),
    (
        "two_ports_of_one_name_and_one_of_none",
        cards(
            {"passtBinding": {}, "ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}, {"port": 3, "name": ""}]}
        ),
        [
            (f"{INTERFACES}[0].ports[1].name", f"'a' is the name of {INTERFACES}[0].ports[0], too"),
        ],
    ),
    (
        "a_port_out_of_range",
        cards({"passtBinding": {}, "ports": [{"port": 65536}]}),
        [(f"{INTERFACES}[0].ports[0].port", "65536 is more than 65535")],
    ),
    (
        "a_mac_of_five_bytes",
        _card(macAddress="52:54:00:12:34"),
        [(f"{INTERFACES}[0].macAddress", f"'52:54:00:12:34' {NO_MAC}")],
    ),
    (
        "a_mac_of_a_group",
        _card(macAddress="01:00:5e:00:00:01"),
        [(f"{INTERFACES}[0].macAddress", f"'01:00:5e:00:00:01' {NO_MAC}")],
    ),
    (
        "a_mac_of_zeros",
        _card(macAddress="00:00:00:00:00:00"),
        [(f"{INTERFACES}[0].macAddress", f"'00:00:00:00:00:00' {NO_MAC}")],
    ),
    (
        "a_mac_of_two_notations",
        _card(macAddress="52:54-00:12-34:56"),
        [(f"{INTERFACES}[0].macAddress", f"'52:54-00:12-34:56' {NO_MAC}")],
    ),
    (
        "a_mac_twice_in_two_notations",
        cards({"slirp": {}, "macAddress": "52:54:00:AA:BB:CC"}, {"slirp": {}, "macAddress": "52-54-00-aa-bb-cc"}),
        [(f"{INTERFACES}[1].macAddress", f"52:54:00:aa:bb:cc is that of {INTERFACES}[0], too")],
    ),
    (
        "a_card_that_boots_with_a_disk",
        {**_card(bootOrder=1), f"{DISKS}[1].bootOrder": 1},
        [(f"{INTERFACES}[0].bootOrder", f"1 is the boot order of {DISKS}[1], too")],
    ),
    (
        "two_cards_of_one_index",
        cards({"slirp": {}, "acpiIndex": 5}, {"slirp": {}, "acpiIndex": 5}),
        [(f"{INTERFACES}[1].acpiIndex", f"5 is that of {INTERFACES}[0], too")],
    ),
    (
        "a_model_that_kubevirt_lacks",
        _card(model="vmxnet3"),
        [(f"{INTERFACES}[0].model", "'vmxnet3' is not one of virtio, e1000e, e1000, igb, rtl8139, ne2k_pci, pcnet")],
    ),
    (
        "devices_with_names_that_are_none",
        {
            f"{DEVICES}.watchdog": {"name": "", "i6300esb": {}},
            f"{DEVICES}.sound": {"name": "A"},
            f"{DEVICES}.inputs": [{"name": "a.b"}],
        },
        [
            (f"{DEVICES}.watchdog.name", f"'' {NO_LABEL}"),
            (f"{DEVICES}.sound.name", f"'A' {NO_LABEL}"),
            (f"{DEVICES}.inputs[0].name", f"'a.b' {NO_LABEL}"),
        ],
    ),
    (
        "two_tablets_of_one_name",
        {f"{DEVICES}.inputs": [{"name": "a"}, {"name": "a"}]},
        [(f"{DEVICES}.inputs[1].name", f"'a' is the name of {DEVICES}.inputs[0], too")],
    ),
    (
        "a_watchdog_on_arm64",
        {f"{DEVICES}.watchdog": {"name": "dog", "i6300esb": {}}, **ARM},
        [(f"{DEVICES}.watchdog", "arm64 guests have no watchdog")],
    ),
    (
        "a_graphics_card_without_graphics",
        {f"{DEVICES}.video": {"type": "vga"}, f"{DEVICES}.autoattachGraphicsDevice": False},
        [(f"{DEVICES}.video", f"has no effect with {DEVICES}.autoattachGraphicsDevice: false")],
    ),
    (
        "a_graphics_card_of_the_pc_on_arm64",
        {f"{DEVICES}.video": {"type": "vga"}, **ARM},
        [(f"{DEVICES}.video.type", "arm64 guests have no vga; wanted virtio or ramfb")],
    ),
    (
        "a_panic_device_twice",
        {f"{DEVICES}.panicDevices": [{}, {"model": "isa"}]},
        [(f"{DEVICES}.panicDevices[1]", f"is isa, and so is {DEVICES}.panicDevices[0]")],
    ),
    (
        "a_panic_device_on_arm64",
        {f"{DEVICES}.panicDevices": [{}], **ARM},
        [(f"{DEVICES}.panicDevices", "arm64 guests have neither an isa nor a hyperv panic device")],
    ),
    (
        "a_panic_device_that_kubevirt_lacks",
        {f"{DEVICES}.panicDevices": [{"model": "pseries"}]},
        [(f"{DEVICES}.panicDevices[0].model", "'pseries' is not one of isa, hyperv, pvpanic")],
    ),
    (
        "a_macvtap_as_it_was",
        cards({"macvtap": {}}),
        [(f"{INTERFACES}[0].macvtap", OLD_MACVTAP)],
    ),
]

# (sentence, changes to a valid manifest)
MACHINE_ACCEPTED: list[tuple[str, Changes]] = [
    ("cpu_features", {CPU_FEATURES: [{"name": "sse4.1", "policy": "optional"}, {"name": "3dnow"}]}),
    ("direct_timers_that_are_off", _hyperv(synictimer={"enabled": False, "direct": {}})),
    (
        "clocks_that_every_guest_has_all_the_same",
        {CLOCK: {"timer": {"rtc": {"present": False}, "pit": {"present": False}}}},
    ),
    ("hotplug_that_is_not_disabled", {f"{DEVICES}.disableHotplug": False}),
    ("text_of_a_card_that_is_empty", _card(model="", macAddress="", pciAddress="", state="", tag="", acpiIndex=0)),
    (
        "text_of_the_machine_that_is_empty",
        {"spec.domain.cpu.model": "", f"{FIRMWARE}.uuid": "", f"{FIRMWARE}.serial": ""},
    ),
    ("a_clock_beside_utc", {CLOCK: {"utc": {"offsetSeconds": -3600}}}),
    ("a_zone", {CLOCK: {"timezone": "America/Argentina/Buenos_Aires"}}),
    ("a_zone_with_an_offset", {CLOCK: {"timezone": "Etc/GMT+1"}}),
    ("features_of_arm64", {f"{FEATURES}.acpi": {}, f"{CLOCK}.timer.rtc.track": "wall", **ARM}),
    ("uefi_without_secure_boot", {EFI: {"secureBoot": False, "persistent": True}}),
    ("uefi_with_secure_boot", {EFI: {}, f"{FEATURES}.smm": {}}),
    ("a_serial_number_with_anything_printable", {f"{FIRMWARE}.serial": "a,b=c <&>'\" \u00e9"}),
    ("a_network_of_the_guests_namespace", _named("br-lan.2")),
    ("a_device_in_multus_notation", _named("vms/tenant-network-a@net1")),
    ("a_network_of_a_long_name_on_a_device", _named(f"{'a' * 40}@{'b' * 15}")),
    ("a_tap", cards({"binding": {"name": "tap"}}, network=MULTUS)),
    (
        "one_port_of_two_protocols",
        cards({"passtBinding": {}, "ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}),
    ),
    (
        "one_port_of_two_names",
        cards({"passtBinding": {}, "ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
    ),
    ("ports_behind_qemus_user_networking", _card(ports=[{"port": 80}])),
    ("a_card_that_is_down", _card(state="down")),
    ("masquerade", cards({"masquerade": {}})),
    ("a_bridge_on_the_pod_network", cards({"bridge": {}})),
    (
        "networks_of_the_guests_own",
        cards(
            {"masquerade": {}},
            network={"pod": {"vmNetworkCIDR": "172.17.2.0/28", "vmIPv6NetworkCIDR": "fd10:0:2::/120"}},
        ),
    ),
    (
        "a_card_with_capitals_and_an_underscore",
        {INTERFACES: [{"name": "Net_1", "masquerade": {}}], NETWORKS: [{"name": "Net_1", "pod": {}}]},
    ),
    ("the_default_card_asked_for", {f"{DEVICES}.autoattachPodInterface": True}),
    (
        "queues_for_nobody",
        {**cards({"bridge": {}, "model": "e1000e"}, network=MULTUS), f"{DEVICES}.networkInterfaceMultiqueue": True},
    ),
    ("enlightenments_without_what_they_need", _hyperv(synictimer={}, tlbflush={}, ipi={}, evmcs={})),
    ("a_tablet_beside_tablets", {f"{DEVICES}.autoattachInputDevice": True, f"{DEVICES}.inputs": [{"name": "a"}]}),
    ("a_watchdog_of_no_kind", {f"{DEVICES}.watchdog": {"name": "dog"}}),
    (
        "queues_for_one_of_two",
        {
            **cards({"bridge": {}}, {"bridge": {}, "model": "e1000"}, network=MULTUS),
            f"{DEVICES}.networkInterfaceMultiqueue": True,
        },
    ),
    ("both_panic_devices", {f"{DEVICES}.panicDevices": [{}, {"model": "hyperv"}]}),
    ("a_graphics_card_of_arm64", {f"{DEVICES}.video": {"type": "ramfb"}, **ARM}),
    ("the_longest_vendor", _hyperv(vendorid={"vendorid": "Twelve chars"})),
]

# A guest with everything that this program knows of a machine beside disks, in the words of the manifest.
EVERYTHING: Changes = {
    "spec.domain.cpu": {
        "cores": 2,
        "model": "Haswell",
        "features": [{"name": "pcid", "policy": "disable"}, {"name": "invtsc"}],
    },
    CLOCK: {
        "utc": {"offsetSeconds": 90},
        "timer": {
            "hpet": {"present": False},
            "kvm": {},
            "pit": {"tickPolicy": "delay"},
            "rtc": {"tickPolicy": "catchup", "track": "wall"},
            "hyperv": {},
        },
    },
    FEATURES: {
        "acpi": {},
        "apic": {"endOfInterrupt": True},
        "smm": {},
        "kvm": {"hidden": True},
        "pvspinlock": {"enabled": False},
        "hyperv": {
            **{
                name: {}
                for name in (
                    "relaxed", "vapic", "vpindex", "runtime", "synic", "reset", "frequencies", "reenlightenment",
                    "tlbflush", "ipi", "evmcs",
                )
            },
            "spinlocks": {},
            "synictimer": {"direct": {}},
            "vendorid": {"vendorid": "KVMKVMKVM"},
        },
    },
    f"{FIRMWARE}.serial": "42, or so",
    EFI: {"persistent": True},
    "spec.domain.chassis": {"manufacturer": "Acme", "version": "1", "serial": "s", "asset": "a", "sku": "k"},
    f"{DEVICES}.autoattachMemBalloon": True,
    f"{DEVICES}.autoattachVSOCK": True,
    f"{DEVICES}.autoattachGraphicsDevice": True,
    f"{DEVICES}.networkInterfaceMultiqueue": True,
    f"{DEVICES}.inputs": [{"name": "tablet"}, {"name": "other", "type": "tablet", "bus": "virtio"}],
    f"{DEVICES}.sound": {"name": "sound"},
    f"{DEVICES}.rng": {},
    f"{DEVICES}.tpm": {"persistent": True},
    f"{DEVICES}.watchdog": {"name": "dog", "i6300esb": {"action": "poweroff"}},
    f"{DEVICES}.panicDevices": [{"model": "hyperv"}],
    INTERFACES: [
        {
            "name": "default",
            "passtBinding": {},
            "macAddress": "52-54-00-AA-BB-CC",
            "ports": [{"port": 22, "name": "ssh"}, {"port": 53, "protocol": "UDP"}],
            "bootOrder": 9,
            "acpiIndex": 7,
        },
        {"name": "user", "slirp": {}, "model": "e1000e", "state": "down"},
        {"name": "lan", "bridge": {}},
        {"name": "fast", "binding": {"name": "tap"}, "model": "virtio"},
    ],
    NETWORKS: [
        {"name": "default", "pod": {}},
        {"name": "user", "pod": {}},
        {"name": "lan", "multus": {"networkName": "br0"}},
        {"name": "fast", "multus": {"networkName": "vms/tenant-a@net1"}},
    ],
}  # fmt: skip

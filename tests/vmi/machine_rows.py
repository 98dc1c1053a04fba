"""The rows of the admission tests that are about the board, the CPU's features, networks and other devices."""

from __future__ import annotations

from tests.vmi.manifests import Changes

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
NO_MAC = "is not the MAC address of one card such as 52:54:00:12:34:56"
NO_DEVICE = "names no network device of 1 to 15 characters; wanted [namespace/]name[@device]"
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
        "enlightenments_without_what_they_need",
        _hyperv(synic={}, tlbflush={}, ipi={}, evmcs={}),
        [
            (f"{HYPERV}.synic", f"needs {HYPERV}.vpindex"),
            (f"{HYPERV}.tlbflush", f"needs {HYPERV}.vpindex"),
            (f"{HYPERV}.ipi", f"needs {HYPERV}.vpindex"),
            (f"{HYPERV}.evmcs", f"needs {HYPERV}.vapic"),
        ],
    ),
    (
        "an_enlightenment_whose_need_is_turned_off",
        _hyperv(synic={}, vpindex={"enabled": False}),
        [(f"{HYPERV}.synic", f"needs {HYPERV}.vpindex")],
    ),
    (
        "synthetic_timers_without_controller_and_clock",
        _hyperv(synictimer={}),
        [
            (f"{HYPERV}.synictimer", f"needs {HYPERV}.synic"),
            (f"{HYPERV}.synictimer", f"needs {CLOCK}.timer.hyperv"),
        ],
    ),
    (
        "direct_timers_that_are_off",
        _hyperv(synictimer={"enabled": False, "direct": {}}),
        [(f"{HYPERV}.synictimer.direct", f"needs {HYPERV}.synictimer.enabled: true")],
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
        "a_tick_policy_that_libvirt_would_ignore",
        {CLOCK: {"timer": {"hpet": {"tickPolicy": "delay"}}}},
        [
            (
                f"{CLOCK}.timer.hpet.tickPolicy",
                "not supported: KubeVirt has this field, virt-launcher does not act on it",
            )
        ],
    ),
    (
        "a_guest_without_the_clock_that_every_guest_has",
        {CLOCK: {"timer": {"rtc": {"present": False}}}},
        [(f"{CLOCK}.timer.rtc.present", "false is not supported; leave it out or set it to true")],
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
        [(f"{INTERFACES}[0].name", f"'../a' {NO_LABEL}"), (f"{NETWORKS}[0].name", f"'../a' {NO_LABEL}")],
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
        [(f"{NETWORKS}[0]", "has no source; wanted pod or multus")],
    ),
    (
        "a_network_of_two_kinds",
        cards({"bridge": {}}, network={**POD, **MULTUS}),
        [
            (f"{NETWORKS}[0]", "is pod and multus at once; wanted pod or multus"),
            (
                f"{INTERFACES}[0]",
                "bridge needs a multus network that names its device; for the pod network wanted passt or slirp",
            ),
        ],
    ),
    (
        "a_device_with_too_long_a_name",
        _named("a" * 16),
        [(f"{NETWORKS}[0].multus.networkName", f"'{'a' * 16}' {NO_DEVICE}")],
    ),
    ("a_device_that_is_a_path", _named("../br0"), [(f"{NETWORKS}[0].multus.networkName", f"'../br0' {NO_DEVICE}")]),
    ("a_device_of_no_name", _named("vms/lan@"), [(f"{NETWORKS}[0].multus.networkName", f"'vms/lan@' {NO_DEVICE}")]),
    (
        "a_card_without_binding",
        cards({}),
        [
            (
                f"{INTERFACES}[0]",
                "has no binding; wanted passt, slirp or bridge, or passt, slirp, tap as a binding's name",
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
        cards({"binding": {"name": "macvtap"}}),
        [(f"{INTERFACES}[0].binding.name", "'macvtap' is not supported; wanted passt, slirp, tap")],
    ),
    (
        "a_binding_that_needs_a_controller",
        cards({"masquerade": {}}),
        [
            (f"{INTERFACES}[0].masquerade", "not supported: KubeVirt has this field, virt-launcher does not act on it"),
            (
                f"{INTERFACES}[0]",
                "has no binding; wanted passt, slirp or bridge, or passt, slirp, tap as a binding's name",
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
                "tap needs a multus network that names its device; for the pod network wanted passt or slirp",
            )
        ],
    ),
    (
        "ports_that_nobody_forwards",
        _card(ports=[{"port": 80}]),
        [(f"{INTERFACES}[0].ports", "slirp forwards no port; wanted passt")],
    ),
    (
        "a_port_for_two_cards",
        cards({"passt": {}, "ports": [{"port": 80}]}, {"passt": {}, "ports": [{"port": 80, "protocol": "TCP"}]}),
        [(f"{INTERFACES}[1].ports[0]", f"TCP 80 is {INTERFACES}[0].ports[0], too")],
    ),
    (
        "two_ports_of_one_name_and_one_of_none",
        cards({"passt": {}, "ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}, {"port": 3, "name": ""}]}),
        [
            (f"{INTERFACES}[0].ports[1].name", f"'a' is the name of {INTERFACES}[0].ports[0], too"),
            (f"{INTERFACES}[0].ports[2].name", f"'' {NO_LABEL}"),
        ],
    ),
    (
        "a_port_out_of_range",
        cards({"passt": {}, "ports": [{"port": 65536}]}),
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
        "queues_for_nobody",
        {**cards({"bridge": {}, "model": "e1000e"}, network=MULTUS), f"{DEVICES}.networkInterfaceMultiqueue": True},
        [(f"{DEVICES}.networkInterfaceMultiqueue", "has no effect without a virtio interface on a bridge or a tap")],
    ),
    (
        "a_model_that_qemu_lacks",
        _card(model="igb"),
        [(f"{INTERFACES}[0].model", "'igb' is not one of virtio, e1000e, e1000, rtl8139, ne2k_pci, pcnet")],
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
        "a_tablet_beside_the_one_that_is_attached",
        {f"{DEVICES}.inputs": [{"name": "a"}], f"{DEVICES}.autoattachInputDevice": True},
        [(f"{DEVICES}.autoattachInputDevice", f"has no effect beside {DEVICES}.inputs")],
    ),
    (
        "a_watchdog_of_no_kind",
        {f"{DEVICES}.watchdog": {"name": "dog"}},
        [(f"{DEVICES}.watchdog", "has no device; wanted i6300esb")],
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
        "a_panic_device_that_libvirt_lacks",
        {f"{DEVICES}.panicDevices": [{"model": "pvpanic"}]},
        [(f"{DEVICES}.panicDevices[0].model", "'pvpanic' is not one of isa, hyperv")],
    ),
]

# (sentence, changes to a valid manifest)
MACHINE_ACCEPTED: list[tuple[str, Changes]] = [
    ("cpu_features", {CPU_FEATURES: [{"name": "sse4.1", "policy": "optional"}, {"name": "3dnow"}]}),
    ("a_clock_beside_utc", {CLOCK: {"utc": {"offsetSeconds": -3600}}}),
    ("a_zone", {CLOCK: {"timezone": "America/Argentina/Buenos_Aires"}}),
    ("a_zone_with_an_offset", {CLOCK: {"timezone": "Etc/GMT+1"}}),
    ("features_of_arm64", {f"{FEATURES}.acpi": {}, f"{CLOCK}.timer.rtc.track": "wall", **ARM}),
    ("uefi_without_secure_boot", {EFI: {"secureBoot": False, "persistent": True}}),
    ("uefi_with_secure_boot", {EFI: {}, f"{FEATURES}.smm": {}}),
    ("a_serial_number_with_anything_printable", {f"{FIRMWARE}.serial": "a,b=c <&>'\" \u00e9"}),
    ("a_device_by_its_own_name", _named("br-lan_1.2")),
    ("a_device_in_multus_notation", _named("vms/tenant-network-a@net1")),
    ("a_network_of_a_long_name_on_a_device", _named(f"{'a' * 40}@{'b' * 15}")),
    ("a_tap", cards({"binding": {"name": "tap"}}, network=MULTUS)),
    ("one_port_of_two_protocols", cards({"passt": {}, "ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]})),
    ("a_card_that_is_down", _card(state="down")),
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
            "passt": {},
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

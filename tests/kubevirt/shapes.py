"""Shapes of manifests, and what KubeVirt's rules make of them: written by hand from the rules, never from our output.

A row is a sentence, the manifest in short, a path in the domain, and each element there as XML; none: nothing is there.
"""

from __future__ import annotations


def domain(inner: str) -> str:
    """Return a guest of 1 GiB with this beside in its domain."""
    return f"spec: {{domain: {{memory: {{guest: 1Gi}}, devices: {{}}, {inner}}}}}"


def devices(inner: str, more: str = "volumes: []") -> str:
    """Return a guest of 1 GiB with these devices, and this beside in its spec."""
    return f"spec: {{domain: {{memory: {{guest: 1Gi}}, devices: {{{inner}}}}}, {more}}}"


def sized(memory: str, resources: str = "{}", cpu: str = "{}", more: str = "") -> str:
    """Return a guest of this memory, resources and CPUs."""
    return f"spec: {{domain: {{memory: {memory}, resources: {resources}, cpu: {cpu}, devices: {{}}{more}}}}}"


def disk(inner: str, volume: str = "hostDisk: {path: /a.img, type: Disk}") -> str:
    """Return a guest with the disk `a` and its volume."""
    return devices(f"disks: [{{name: a, {inner}}}]", f"volumes: [{{name: a, {volume}}}]")


def card(inner: str, network: str = "pod: {}", more: str = "") -> str:
    """Return a guest with the card `a` on this network."""
    return devices(f"interfaces: [{{name: a, {inner}}}]{more}", f"networks: [{{name: a, {network}}}]")


PLAIN = devices("")
CLAIM, MULTUS = "persistentVolumeClaim: {claimName: c}", "multus: {networkName: n}"
MACHINE = "kind: VirtualMachine"
DEDICATED = "{cores: 2, dedicatedCpuPlacement: true}"
EFI = "firmware: {bootloader: {efi: {secureBoot: false}}}"
# version 5 of RFC 9562 of the name "guest" in 6a1a24a1-4061-4607-8bf4-a3963d0c5895, by Python's own uuid module.
UUID = "cf689bc3-d2d8-5754-a86f-7e707afacfc2"

EMPTY_DRIVE = (
    '<disk type="file" device="cdrom"><driver name="qemu" type="raw" error_policy="stop"/>'
    '<target dev="sda" bus="sata"/><readonly/><alias name="ua-a"/></disk>'
)

SHAPES: list[tuple[str, str, str, list[str]]] = [
    # Identity.
    ("an_instances_uuid", PLAIN, "uuid", [f"<uuid>{UUID}</uuid>"]),
    (
        "a_given_uuid", domain("firmware: {uuid: 5D307CA9-B3EF-428C-8861-06E72D69F223}"), "uuid",
        ["<uuid>5d307ca9-b3ef-428c-8861-06e72d69f223</uuid>"],
    ),
    ("a_machines_serial", MACHINE, "sysinfo/system/entry[@name='serial']", [f'<entry name="serial">{UUID}</entry>']),
    ("no_serial_of_an_instance", PLAIN, "sysinfo/system/entry[@name='serial']", []),
    (
        "a_given_serial", f"{MACHINE}\n" + domain("firmware: {serial: s-1}"), "sysinfo/system/entry[@name='serial']",
        ['<entry name="serial">s-1</entry>'],
    ),
    (
        "kubevirts_words", PLAIN, "sysinfo[@type='smbios']/system/entry",
        [
            '<entry name="manufacturer">KubeVirt</entry>', '<entry name="product">None</entry>',
            '<entry name="family">KubeVirt</entry>',
        ],
    ),
    ("words_that_the_guest_sees", PLAIN, "os/smbios", ['<smbios mode="sysinfo"/>']),
    (
        "a_chassis", domain("chassis: {asset: a-1}"), "sysinfo/chassis",
        ['<chassis><entry name="asset">a-1</entry></chassis>'],
    ),
    # Network.
    (
        "the_default_card", PLAIN, "devices/interface",
        ['<interface type="user"><model type="virtio"/><rom enabled="no"/><alias name="ua-default"/></interface>'],
    ),
    ("a_card_declined", devices("autoattachPodInterface: false"), "devices/interface", []),
    (
        "a_card_asked_for", devices("autoattachPodInterface: true"), "devices/interface/alias",
        ['<alias name="ua-default"/>'],
    ),
    (
        "masquerade_with_an_address_of_its_own", card("masquerade: {}, macAddress: 02-00-00-AA-BB-CC"),
        "devices/interface/mac", ['<mac address="02:00:00:aa:bb:cc"/>'],
    ),
    ("a_bridge_on_the_pods_network", card("bridge: {}, model: e1000e"), "devices/interface/model",
     ['<model type="e1000e"/>']),
    ("a_boot_rom_for_who_boots", card("masquerade: {}, bootOrder: 1"), "devices/interface/rom", []),
    ("the_order_of_who_boots", card("masquerade: {}, bootOrder: 1"), "devices/interface/boot", ['<boot order="1"/>']),
    ("a_link_that_is_down", card("masquerade: {}, state: down"), "devices/interface/link", ['<link state="down"/>']),
    ("an_acpi_index", card("masquerade: {}, acpiIndex: 3"), "devices/interface/acpi", ['<acpi index="3"/>']),
    (
        "a_network_of_the_guests_own", card("masquerade: {}", "pod: {vmNetworkCIDR: 172.16.0.0/16}"),
        "devices/interface/ip", ['<ip family="ipv4" address="172.16.0.0" prefix="16"/>'],
    ),
    (
        "no_queues_of_user_networking", card("masquerade: {}", more=", networkInterfaceMultiqueue: true"),
        "devices/interface/driver", [],
    ),
    # Screen, input, USB.
    (
        "a_screen", PLAIN, "devices/video",
        ['<video><model type="vga" vram="16384" heads="1"/></video>'],
    ),
    (
        "a_screen_on_a_unix_socket", PLAIN, "devices/graphics",
        ['<graphics type="vnc"><listen type="socket" socket="/run/launcher/vnc.sock"/></graphics>'],
    ),
    ("no_screen", devices("autoattachGraphicsDevice: false"), "devices/graphics", []),
    ("no_card_without_a_screen", devices("autoattachGraphicsDevice: false"), "devices/video", []),
    ("a_screen_behind_uefi", domain(EFI), "devices/video", ['<video><model type="bochs" heads="1"/></video>']),
    (
        "a_screen_of_a_kind_behind_uefi",
        f"spec: {{domain: {{memory: {{guest: 1Gi}}, {EFI}, devices: {{video: {{type: virtio}}}}}}}}",
        "devices/video", ['<video><model type="virtio" vram="16384" heads="1"/></video>'],
    ),
    ("no_usb", PLAIN, "devices/controller[@type='usb']", ['<controller type="usb" model="none"/>']),
    ("no_tablet", PLAIN, "devices/input", []),
    (
        "a_tablet_attached", devices("autoattachInputDevice: true"), "devices/input",
        ['<input type="tablet" bus="usb"/>'],
    ),
    (
        "usb_for_a_tablet", devices("autoattachInputDevice: true"), "devices/controller[@type='usb']",
        ['<controller type="usb" index="0" model="qemu-xhci"/>'],
    ),
    (
        "the_tablet_that_is_named_and_no_other",
        devices("autoattachInputDevice: true, inputs: [{name: t, bus: virtio}]"), "devices/input",
        ['<input type="tablet" bus="virtio"/>'],
    ),
    # Balloon, panic, watchdog, TPM, randomness, sound.
    (
        "a_balloon", PLAIN, "devices/memballoon",
        ['<memballoon model="virtio" freePageReporting="on"><stats period="10"/></memballoon>'],
    ),
    ("no_balloon", devices("autoattachMemBalloon: false"), "devices/memballoon", ['<memballoon model="none"/>']),
    (
        "a_balloon_beside_dedicated_cpus", domain(f"cpu: {DEDICATED}"), "devices/memballoon",
        ['<memballoon model="virtio" freePageReporting="off"><stats period="10"/></memballoon>'],
    ),
    (
        "a_balloon_of_huge_pages", sized("{guest: 1Gi, hugepages: {pageSize: 2Mi}}"), "devices/memballoon",
        ['<memballoon model="virtio" freePageReporting="off"><stats period="10"/></memballoon>'],
    ),
    ("no_panic_device", PLAIN, "devices/panic", []),
    ("a_panic_device_asked_for", devices("panicDevices: [{model: hyperv}]"), "devices/panic",
     ['<panic model="hyperv"/>']),
    ("a_watchdog_of_no_kind", devices("watchdog: {name: w}"), "devices/watchdog",
     ['<watchdog model="i6300esb" action="reset"/>']),
    ("no_tpm", PLAIN, "devices/tpm", []),
    ("a_tpm", devices("tpm: {}"), "devices/tpm[@model='tpm-tis']/backend",
     ['<backend type="emulator" version="2.0" persistent_state="no"/>']),
    ("a_tpm_that_lasts", devices("tpm: {persistent: true}"), "devices/tpm[@model='tpm-crb']/backend",
     ['<backend type="emulator" version="2.0" persistent_state="yes"/>']),
    ("a_tpm_that_is_off", devices("tpm: {enabled: false}"), "devices/tpm", []),
    ("no_source_of_randomness", PLAIN, "devices/rng", []),
    ("a_source_of_randomness", devices("rng: {}"), "devices/rng",
     ['<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>']),
    ("the_agents_channel", PLAIN, "devices/channel/target",
     ['<target type="virtio" name="org.qemu.guest_agent.0"/>']),
    ("no_console", devices("autoattachSerialConsole: false"), "devices/serial", []),
    # Features, clock, CPU.
    ("no_vmport", PLAIN, "features/vmport", ['<vmport state="off"/>']),
    ("acpi", PLAIN, "features/acpi", ["<acpi/>"]),
    ("no_acpi", domain("features: {acpi: {enabled: false}}"), "features/acpi", []),
    ("no_kvm_words", PLAIN, "features/kvm", []),
    ("the_hint_of_dedicated_cpus", domain(f"cpu: {DEDICATED}"), "features/kvm",
     ['<kvm><hint-dedicated state="on"/></kvm>']),
    (
        "the_hint_beside_a_hidden_kvm", domain(f"features: {{kvm: {{hidden: true}}}}, cpu: {DEDICATED}"),
        "features/kvm", ['<kvm><hidden state="on"/><hint-dedicated state="on"/></kvm>'],
    ),
    (
        "what_enlightenments_need", domain("features: {hyperv: {tlbflush: {}}}"), "features/hyperv",
        ['<hyperv><vpindex state="on"/><tlbflush state="on"/></hyperv>'],
    ),
    (
        "what_a_need_needs", domain("features: {hyperv: {synictimer: {direct: {}}}}"), "features/hyperv",
        ['<hyperv><vpindex state="on"/><synic state="on"/><stimer state="on"><direct state="on"/></stimer></hyperv>'],
    ),
    (
        "spins_by_default", domain("features: {hyperv: {spinlocks: {}}}"), "features/hyperv",
        ['<hyperv><spinlocks state="on" retries="4096"/></hyperv>'],
    ),
    ("utc", domain("clock: {utc: {}}"), "clock", ['<clock offset="utc" adjustment="reset"/>']),
    ("beside_utc", domain("clock: {utc: {offsetSeconds: -60}}"), "clock", ['<clock offset="utc" adjustment="-60"/>']),
    ("no_clock_given", PLAIN, "clock", ['<clock offset="utc"/>']),
    (
        "timers_that_are_named", domain("clock: {timer: {pit: {}, rtc: {present: false}, hpet: {tickPolicy: merge}}}"),
        "clock/timer",
        ['<timer name="hpet" present="yes" tickpolicy="merge"/>', '<timer name="pit" present="yes"/>',
         '<timer name="rtc" present="no"/>'],
    ),
    (
        "direct_timers_that_are_off", domain("features: {hyperv: {synictimer: {enabled: false, direct: {}}}}"),
        "features/hyperv/stimer", ['<stimer state="off"><direct state="on"/></stimer>'],
    ),
    ("an_open_tray", disk("cdrom: {tray: open}"), "devices/disk/target",
     ['<target dev="sda" bus="sata" tray="open"/>']),
    ("a_card_of_intels_newest_kind", card("masquerade: {}, model: igb"), "devices/interface/model",
     ['<model type="igb"/>']),
    ("a_panic_device_on_pci", devices("panicDevices: [{model: pvpanic}]"), "devices/panic",
     ['<panic model="pvpanic"/>']),
    ("no_place_for_the_guest_to_see", card("masquerade: {}, pciAddress: ''"), "devices/interface/address", []),
    ("a_model_left_open", domain("cpu: {model: ''}"), "cpu[@mode='host-model']/model", []),
    (
        "a_timer", domain("clock: {timer: {hpet: {present: false}}}"), "clock",
        ['<clock offset="utc"><timer name="hpet" present="no"/></clock>'],
    ),
    ("the_hosts_model", PLAIN, "cpu[@mode='host-model']/feature", []),
    ("a_named_model", domain("cpu: {model: Haswell}"), "cpu[@mode='custom']/feature",
     ['<feature policy="disable" name="mpx"/>']),
    ("a_named_model_with_mpx", domain("cpu: {model: Haswell, features: [{name: mpx}]}"), "cpu/feature",
     ['<feature policy="require" name="mpx"/>']),
    ("an_enlightened_vmcs", domain("features: {hyperv: {evmcs: {}}}"), "cpu/feature",
     ['<feature policy="require" name="vmx"/>']),
    ("the_board", PLAIN, "os/type", ['<type arch="x86_64" machine="q35">hvm</type>']),
    # Sizes.
    ("one_vcpu", PLAIN, "cpu/topology", ['<topology sockets="1" dies="1" cores="1" threads="1"/>']),
    ("sockets_of_the_limit", sized("{guest: 1Gi}", "{limits: {cpu: 1500m}}"), "cpu/topology",
     ['<topology sockets="2" dies="1" cores="1" threads="1"/>']),
    ("memory_of_the_request", sized("{}", "{requests: {memory: 1Gi}, limits: {memory: 2Gi}}"), "memory",
     ['<memory unit="KiB">1048576</memory>']),
    ("memory_of_the_limit", sized("{}", "{limits: {memory: 2Gi}}"), "memory", ['<memory unit="KiB">2097152</memory>']),
    ("memory_of_one_huge_page", sized("{hugepages: {pageSize: 1Gi}}"), "memory",
     ['<memory unit="KiB">1048576</memory>']),
    # Disks and IOThreads.
    ("a_disk_for_a_volume", devices("", "volumes: [{name: a, emptyDisk: {capacity: 1Gi}}]"), "devices/disk/target",
     ['<target dev="sda" bus="sata"/>']),
    ("a_disk_behind_the_others",
     devices("disks: [{name: b, disk: {bus: sata}}]",
             "volumes: [{name: a, emptyDisk: {capacity: 1Gi}}, {name: b, emptyDisk: {capacity: 1Gi}}]"),
     "devices/disk/alias", ['<alias name="ua-b"/>', '<alias name="ua-a"/>']),
    ("a_disk_without_a_bus", disk("disk: {}"), "devices/disk/target", ['<target dev="sda" bus="sata"/>']),
    ("a_lun_without_a_bus", disk("lun: {}", "persistentVolumeClaim: {claimName: a}"), "devices/disk/target",
     ['<target dev="sda" bus="scsi"/>']),
    ("a_cd_rom", disk("cdrom: {}"), "devices/disk[@device='cdrom']/readonly", ["<readonly/>"]),
    ("an_empty_drive", devices("disks: [{name: a, cdrom: {bus: sata}}]"), "devices/disk",
     [EMPTY_DRIVE]),
    ("a_cd_rom_that_is_called_writable", disk("cdrom: {readonly: false}"), "devices/disk/readonly", []),
    (
        "a_lun_with_reservations", disk("lun: {bus: scsi, reservation: true}", CLAIM),
        "devices/disk/source/reservations",
        [
            ('<reservations managed="no">'
            '<source type="unix" path="/var/run/kubevirt/daemons/pr/pr-helper.sock" mode="client"/></reservations>')
        ],
    ),
    ("a_lun_without_reservations", disk("lun: {bus: scsi}", CLAIM), "devices/disk/source/reservations", []),
    (
        "a_disk_at_its_place", disk('disk: {bus: virtio, pciAddress: "0000:0a:00.0"}'), "devices/disk/address",
        ['<address type="pci" domain="0x0000" bus="0x0a" slot="0x00" function="0x0"/>'],
    ),
    (
        "a_card_at_its_place", card('masquerade: {}, pciAddress: "0000:07:01.2"'), "devices/interface/address",
        ['<address type="pci" domain="0x0000" bus="0x07" slot="0x01" function="0x2"/>'],
    ),
    (
        "a_disk_on_usb", disk("disk: {bus: usb}, serial: abc"), "devices/disk/target",
        ['<target dev="sda" bus="usb"/>'],
    ),
    ("the_controller_of_a_disk_on_usb", disk("cdrom: {bus: usb}"), "devices/controller[@type='usb']",
     ['<controller type="usb" index="0" model="qemu-xhci"/>']),
    ("a_guest_that_ends_at_a_reboot", domain("rebootPolicy: Terminate"), "on_reboot",
     ["<on_reboot>destroy</on_reboot>"]),
    ("a_guest_that_reboots", domain("rebootPolicy: Reboot"), "on_reboot", ["<on_reboot>restart</on_reboot>"]),
    ("a_tick_policy_of_the_hpet", domain("clock: {utc: {}, timer: {hpet: {tickPolicy: delay}}}"),
     "clock/timer[@name='hpet']", ['<timer name="hpet" present="yes" tickpolicy="delay"/>']),
    ("a_card_on_openshifts_network", card("binding: {name: l2bridge}"), "devices/interface/model",
     ['<model type="virtio"/>']),
    ("a_card_that_was_unplugged", card("bridge: {}, state: absent", MULTUS), "devices/interface", []),
    ("a_virtual_function_is_no_card", card("sriov: {}", MULTUS), "devices/interface", []),
    (
        "data_for_ignition", 'metadata: {annotations: {kubevirt.io/ignitiondata: \'{"ignition": {}}\'}}',
        "sysinfo[@type='fwcfg']/entry",
        ['<entry name="opt/com.coreos/config" file="/run/launcher/storage/default_guest/data.ign"/>'],
    ),
    ("data_that_is_none_for_ignition", "metadata: {annotations: {kubevirt.io/ignitiondata: '{}'}}",
     "sysinfo[@type='fwcfg']", []),
    ("no_data_for_ignition", PLAIN, "sysinfo[@type='fwcfg']", []),
    (
        "licences_of_windows",
        (
            "spec: {domain: {memory: {guest: 1Gi}, devices: {}, firmware: {acpi: {slicNameRef: a, msdmNameRef: b}}}, "
            "volumes: [{name: a, secret: {secretName: s}}, {name: b, secret: {secretName: m}}]}"
        ),
        "os/acpi",
        [
            ('<acpi><table type="slic">/run/launcher/storage/default_guest/slic.bin</table>'
            '<table type="msdm">/run/launcher/storage/default_guest/msdm.bin</table></acpi>')
        ],
    ),
    ("no_licences", PLAIN, "os/acpi", []),
    (
        "slots_for_usb_devices_of_others", devices("clientPassthrough: {}"), "devices/redirdev",
        [
            f'<redirdev bus="usb" type="unix"><source mode="bind" path="/run/launcher/usbredir{slot}.sock"/></redirdev>'
            for slot in range(4)
        ],
    ),
    ("the_controller_of_such_slots", devices("clientPassthrough: {}"), "devices/controller[@type='usb']",
     ['<controller type="usb" index="0" model="qemu-xhci"/>']),
    ("no_such_slots", PLAIN, "devices/redirdev", []),
    (
        "parts_of_flushes", domain("features: {hyperv: {tlbflush: {direct: {}, extended: {enabled: false}}}}"),
        "features/hyperv/tlbflush",
        ['<tlbflush state="on"><direct state="on"/><extended state="off"/></tlbflush>'],
    ),
    (
        "what_can_be_discarded",
        disk("disk: {bus: virtio}, blockSize: {custom: {logical: 512, physical: 4096, discardGranularity: 0}}"),
        "devices/disk/blockio",
        ['<blockio logical_block_size="512" physical_block_size="4096" discard_granularity="0"/>'],
    ),
    ("a_transitional_disk",
     disk("disk: {bus: virtio}").replace("devices: {", "devices: {useVirtioTransitional: true, "),
     "devices/disk[@model='virtio-transitional']/target", ['<target dev="vda" bus="virtio"/>']),
    ("a_transitional_card", devices("useVirtioTransitional: true"), "devices/interface/model",
     ['<model type="virtio-transitional"/>']),
    ("a_transitional_balloon", devices("useVirtioTransitional: true"), "devices/memballoon",
     ['<memballoon model="virtio-transitional" freePageReporting="on"><stats period="10"/></memballoon>']),
    ("a_transitional_channel", devices("useVirtioTransitional: true"), "devices/controller[@type='virtio-serial']",
     ['<controller type="virtio-serial" index="0" model="virtio-transitional"/>']),
    ("a_disk_that_reports_errors", disk("disk: {bus: virtio}, errorPolicy: report"),
     "devices/disk/driver[@error_policy='report']/../target", ['<target dev="vda" bus="virtio"/>']),
    ("no_iothreads", disk("disk: {bus: virtio}"), "iothreads", []),
    ("a_thread_of_its_own", disk("disk: {bus: virtio}, dedicatedIOThread: true"), "iothreads",
     ["<iothreads>1</iothreads>"]),
    (
        "threads_for_one_cpu",
        (
            "spec: {domain: {memory: {guest: 1Gi}, ioThreadsPolicy: auto, devices: {disks: "
            "[{name: a, disk: {bus: virtio}}, {name: b, disk: {bus: virtio}}, {name: c, disk: {bus: virtio}}]}}, "
            "volumes: [{name: a, emptyDisk: {capacity: 1Gi}}, {name: b, emptyDisk: {capacity: 1Gi}}, "
            "{name: c, emptyDisk: {capacity: 1Gi}}]}"
        ),
        "iothreads", ["<iothreads>2</iothreads>"],
    ),
]  # fmt: skip

# The same on arm64.
ARM_SHAPES: list[tuple[str, str, str, list[str]]] = [
    ("the_board", PLAIN, "os/type", ['<type arch="aarch64" machine="virt">hvm</type>']),
    ("the_hosts_cpu", PLAIN, "cpu[@mode='host-passthrough']/topology",
     ['<topology sockets="1" dies="1" cores="1" threads="1"/>']),
    ("a_screen", PLAIN, "devices/video", ['<video><model type="virtio" heads="1"/></video>']),
    ("what_a_screen_brings", PLAIN, "devices/input",
     ['<input type="tablet" bus="usb"/>', '<input type="keyboard" bus="usb"/>']),
    ("no_vmport", PLAIN, "features/vmport", []),
    ("a_boot_rom", PLAIN, "devices/interface/rom", []),
    ("no_hint", domain(f"cpu: {DEDICATED}"), "features/kvm", []),
    ("no_words_of_the_board", PLAIN, "os/smbios", []),
    ("a_disk", disk("disk: {}"), "devices/disk/target", ['<target dev="vda" bus="virtio"/>']),
    ("a_tpm_that_lasts", devices("tpm: {persistent: true}"), "devices/tpm[@model='tpm-tis']/backend",
     ['<backend type="emulator" version="2.0" persistent_state="yes"/>']),
]  # fmt: skip

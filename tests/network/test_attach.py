"""The devices that Multus would have made, made for real in a network namespace of the test's own; cards on them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.network.expected import expected
from launcher.vmi.document import parse_document
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import InterfaceBackend
from launcher.vmi.load import admitted
from tests.processes import OPEN_CHECKOUT

CHECKOUT = Path(__file__).parents[2]
# Makes devices, then prints what becomes of the guest's cards: what is found, or the faults.
PROGRAM = """
import json
from launcher.errors import InvalidVMI
from launcher.network.attach import attach
from launcher.vmi.load import load_guest
try:
    found = attach(load_guest("-"))
except InvalidVMI as error:
    print(json.dumps({"faults": [[fault.path, fault.message] for fault in error.faults]}))
else:
    cards = [[card.backend, card.device, card.queues, card.mac] for card in found.guest.peripherals.interfaces]
    print(json.dumps({"cards": cards, "notices": found.notices}))
"""


def guest_text(network: str = "lan", binding: str = "bridge: {}", more: str = "", multiqueue: str = "false") -> str:
    return f"""
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {{name: guest, namespace: vms}}
spec:
  domain:
    cpu: {{cores: 4}}
    memory: {{guest: 1Gi}}
    devices:
      networkInterfaceMultiqueue: {multiqueue}
      interfaces: [{{name: blue, {binding}{more}}}]
  networks: [{{name: blue, multus: {{networkName: {network}}}}}]
"""


def guest(**choices: str) -> Guest:
    return admitted(parse_document("test", guest_text(**choices).encode())).guest


BLUE = guest().peripherals.interfaces[0].attachment.devices[0]  # type: ignore[union-attr]  # there is one


# Device files are the machine's, and named for numbers that each namespace counts for itself: no two of ours at once.
INDICES = itertools.count(10**6 + 1000 * (os.getpid() % 10**5))


def outcome(devices: str, *, user: str = "", **choices: str) -> dict[str, list[object]]:
    """Make these devices ({blue} is what Multus is asked for) in a new namespace, and attach the guest there."""
    script = f'set -e; {devices.format(blue=BLUE, index=next(INDICES))}; exec {user} "$@"'
    if user:
        script = f"{OPEN_CHECKOUT}; {script}"
    namespaces = ["--net", "--mount"] if os.geteuid() == 0 else ["--net", "--user", "--map-root-user"]
    command = ["unshare", *namespaces, "sh", "-c", script, "sh", sys.executable, "-c", PROGRAM]
    text = guest_text(**choices)
    done = subprocess.run(command, cwd=CHECKOUT, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    result: dict[str, list[object]] = json.loads(done.stdout)
    return result


def fault(devices: str, *, user: str = "", **choices: str) -> str:
    (found,) = outcome(devices, user=user, **choices)["faults"]
    assert isinstance(found, list)
    assert found[0] == "spec.networks[blue].multus.networkName"
    return str(found[1])


ADDRESS = "ip addr add 192.0.2.7/24 dev {name}; ip link set {name} up"
VETH = "ip link add {name} type veth peer name other"


def veth(name: str) -> str:
    return f"{VETH.format(name=name)}; {ADDRESS.format(name=name)}"


def test_a_tap_is_opened_as_it_is() -> None:
    found = outcome("ip tuntap add dev {blue} mode tap")
    assert found == {"cards": [["tap", BLUE, 1, None]], "notices": []}


def test_a_tap_of_several_queues_gets_them_and_one_of_one_queue_gets_one() -> None:
    found = outcome("ip tuntap add dev {blue} mode tap multi_queue", multiqueue="true")
    assert found["cards"] == [["tap", BLUE, 4, None]]
    found = outcome("ip tuntap add dev {blue} mode tap", multiqueue="true")
    assert found["cards"] == [["tap", BLUE, 1, None]]
    assert found["notices"] == [f"interface blue: networkInterfaceMultiqueue has no effect on {BLUE}"]


def test_a_tap_of_several_queues_is_never_opened_as_one_of_one() -> None:
    assert outcome("ip tuntap add dev {blue} mode tap multi_queue")["cards"] == [["tap", BLUE, 2, None]]


def test_a_bridge_gets_a_port() -> None:
    assert outcome("ip link add {blue} type bridge")["cards"] == [["bridge", BLUE, 1, None]]


@pytest.mark.parametrize("multiqueue", ["true", "false"])
def test_of_any_other_device_passt_takes_the_address_and_it_is_told(multiqueue: str) -> None:
    found = outcome(veth("{blue}"), multiqueue=multiqueue)
    assert found["cards"] == [["passt", BLUE, 1, None]]
    assert "passt stands in for the bridge" in str(found["notices"][0])
    assert len(found["notices"]) == (2 if multiqueue == "true" else 1)


def test_a_device_without_an_address_is_nothing_for_passt() -> None:
    message = fault("ip link add {blue} type veth peer name other; ip link set {blue} up")
    assert message.startswith(f"{BLUE} is a veth without an address: passt needs one (an ipam in lan)")


def test_the_name_that_multus_gives_where_nobody_asks_is_found_too() -> None:
    assert outcome("ip tuntap add dev net1 mode tap")["cards"] == [["tap", "net1", 1, None]]
    found = outcome("ip tuntap add dev net1 mode tap; ip tuntap add dev {blue} mode tap")
    assert found["cards"] == [["tap", BLUE, 1, None]]


def test_a_name_after_an_at_sign_is_the_devices_and_no_other_is() -> None:
    assert outcome("ip link add br0 type bridge", network="lan@br0")["cards"] == [["bridge", "br0", 1, None]]
    message = fault("ip tuntap add dev net1 mode tap", network="lan@br0")
    assert message.startswith("lan has no device here: no br0 among lo, net1")


def test_a_bridge_of_the_networks_own_name_is_never_taken_for_it() -> None:
    message = fault("ip link add lan type bridge", network="vms/lan")
    assert message.startswith(f"vms/lan has no device here: no {BLUE} and no net1 among lo, lan; Multus makes it")


@pytest.mark.parametrize("binding", ["tap", "macvtap"])
def test_a_binding_that_wants_a_tap_takes_nothing_else(binding: str) -> None:
    choice = f"binding: {{name: {binding}}}"
    assert outcome("ip tuntap add dev {blue} mode tap", binding=choice)["cards"] == [["tap", BLUE, 1, None]]
    assert fault(veth("{blue}"), binding=choice).startswith(f"{BLUE} is a veth; the binding wants a tap")


def test_a_card_that_cannot_open_several_queues_is_told() -> None:
    message = fault("ip tuntap add dev {blue} mode tap multi_queue", more=", model: e1000")
    assert message == f"{BLUE} is a tap of several queues, which e1000 cannot open; wanted virtio, or one queue"


if os.geteuid() == 0:
    USER = "setpriv --reuid 107 --regid 107 --clear-groups"
    LINK = "ip link add link up0 name {blue} index {index} address 02:00:00:00:00:07 type macvtap"
    MACVTAP = f"{VETH.format(name='up0')}; {LINK}"

    def test_the_tap_of_another_user_is_told_and_that_of_this_one_is_opened() -> None:
        tap = "ip tuntap add dev {{blue}} mode tap user {} group {}"
        assert outcome(tap.format(107, 107), user=USER)["cards"] == [["tap", BLUE, 1, None]]
        message = fault(tap.format(0, 107), user=USER)
        assert message == f"{BLUE} is the tap of user 0, and this one is 107; give it to this one"
        message = fault(tap.format(107, 0), user=USER)
        assert message == f"{BLUE} is the tap of group 0, to which user 107 does not belong"

    def test_a_macvtap_gives_the_card_its_own_address() -> None:
        assert outcome(MACVTAP)["cards"] == [["tap", BLUE, 1, "02:00:00:00:00:07"]]
        same = ", macAddress: '02:00:00:00:00:07'"
        assert outcome(MACVTAP, more=same)["cards"] == [["tap", BLUE, 1, "02:00:00:00:00:07"]]
        message = fault(MACVTAP, more=", macAddress: '02:00:00:00:00:08'")
        assert message.startswith(f"{BLUE} is the macvtap of 02:00:00:00:00:07, and the card's macAddress is")

    def test_a_macvtap_whose_device_file_is_not_for_this_user_is_told() -> None:
        assert fault(MACVTAP, user=USER).startswith(f"{BLUE} is a macvtap, and /dev/tap")


def test_where_nobody_looks_the_network_is_a_tap_of_the_name_that_our_pod_asks_for() -> None:
    (card,) = expected(guest()).peripherals.interfaces
    assert (card.backend, card.device) == (InterfaceBackend.TAP, "pod16477688c0e")
    (card,) = expected(guest(network="lan@net3")).peripherals.interfaces
    assert (card.backend, card.device) == (InterfaceBackend.TAP, "net3")

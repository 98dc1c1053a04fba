"""A guest on the Pod's network without privilege: its address, its way out, and the way in by a forwarded port."""

from __future__ import annotations

import http.client
import http.server
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.qemu.guests import Launcher, manifest

Launch = Callable[..., Launcher]


@pytest.fixture
def port() -> int:
    """A port that nobody listens on, and that needs no privilege."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # noqa: S104 - as QEMU would
        server.listen()
        yield server.getsockname()[1]


def behind_the_pod(port: int, binding: str = "masquerade") -> dict[str, Any]:
    vmi = manifest(cores=1, kernel_arguments=f"guest.serve={port}")
    vmi["spec"]["domain"]["devices"]["interfaces"] = [{"name": "Net_1", binding: {}, "ports": [{"port": port}]}]
    vmi["spec"]["networks"] = [{"name": "Net_1", "pod": {}}]
    return vmi


@pytest.mark.parametrize("binding", ["masquerade", "bridge"])
def test_a_guest_has_an_address_and_is_reached_through_a_forwarded_port(
    launch: Launch, port: int, binding: str
) -> None:
    launcher = launch(behind_the_pod(port, binding))
    address = launcher.wait_for(rf"guest: address=\S+ port={port}").partition("address=")[2].split()[0]
    launcher.wait_for("guest: ready")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/hello")
    assert connection.getresponse().read().decode().strip() == address
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output


class Greeter(http.server.BaseHTTPRequestHandler):
    """Greets whoever asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"good-day")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is given
        """Say nothing."""


@pytest.fixture
def greeter() -> Iterator[int]:
    """The port of a server on the launcher's side, on its loopback, which the guest knows as its gateway."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_guest_reaches_a_server_on_the_launchers_side(launch: Launch, port: int, greeter: int) -> None:
    vmi = behind_the_pod(port)
    boot = vmi["spec"]["domain"]["firmware"]["kernelBoot"]
    boot["kernelArgs"] += f" guest.fetch=gateway:{greeter} guest.exit=poweroff"
    launcher = launch(vmi)
    launcher.wait_for("guest: fetched=good-day")
    assert launcher.wait() == 0, launcher.output


def test_a_guest_of_which_nothing_is_said_has_a_card_that_nothing_reaches(launch: Launch) -> None:
    launcher = launch(manifest(cores=1, kernel_arguments="guest.exit=poweroff"))
    launcher.wait_for("interface default: nothing from outside reaches the guest")
    launcher.wait_for("guest: net=eth0 mac=52:54:00:")
    assert launcher.wait() == 0, launcher.output


def test_a_port_that_is_taken_ends_the_start_with_its_number(launch: Launch, taken: int) -> None:
    launcher = launch(behind_the_pod(taken))
    assert launcher.wait() == 7, launcher.output
    assert f"TCP port {taken} of the Pod cannot lead to the guest" in launcher.output
    assert "console | " not in launcher.output

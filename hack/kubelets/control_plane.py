"""The control plane of a node's Kubernetes: on this machine, for emulated it took two fifths of a node's time.

It has a network of its own with the node's QEMU. There the API server has 10.96.0.1, the first address of the services'
range, as everywhere, and the kubelet the node's address; nothing of it can be reached from elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hack.kubelets.building import CHECKOUT, Version, version_named
from hack.nodes.beside import Beside, own_network
from hack.nodes.commands import last_lines
from hack.nodes.errors import NodeError

# Of the API server, as the node and its Pods see it, and of the node, as the API server does (hack/kubernetes/node-up).
API_ADDRESS = "10.96.0.1"
NODE_ADDRESS = "10.99.0.1"
# By which the node finds the card that leads here.
CARD = "52:54:00:0a:60:01"
_OF_THE_CARD = "10.96.0.15"
_KUBELET_PORT = 10250
_START_S = 120.0
_END_S = 20.0
_LOOK_S = 0.1
_KUBECONFIG = CHECKOUT / "hack/kubernetes/kubeconfig"
# An emulated node on a busy machine may be late by minutes, and nobody is to take its Pods away for that.
_NODE_GRACE = "600s"


@contextmanager
def control_plane(name: str, logs: Path) -> Iterator[Beside]:
    """Run etcd, API server, controller manager and scheduler of this version, the API server ready to answer.

    Raises NodeError with the last lines of the part that does not start.
    """
    version = version_named(name)
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # A node that is run once more begins with nothing again.
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="control-plane-", dir=logs.parent)))
        within = stack.enter_context(own_network(NODE_ADDRESS))
        parts = _Parts(within, version.folder / "bin", logs)
        stack.callback(parts.end)
        parts.start("etcd", _etcd(data))
        parts.start("kube-apiserver", _api_server(version, data))
        parts.wait_until_ready(_kubeconfig(data))
        parts.start("kube-controller-manager", _controller_manager(version, data))
        parts.start("kube-scheduler", {"kubeconfig": data / "kubeconfig", "leader-elect": "false", "secure-port": "0"})
        yield Beside(within=within, arguments=_card(), fault=parts.fault)


def _card() -> tuple[str, ...]:
    """Return QEMU's arguments for a card in whose network this machine's loopback has the API server's address."""
    forward = f"tcp:{NODE_ADDRESS}:{_KUBELET_PORT}-{_OF_THE_CARD}:{_KUBELET_PORT}"
    network = f"user,id=control,net=10.96.0.0/24,host={API_ADDRESS},dhcpstart={_OF_THE_CARD},ipv6=off"
    return "-netdev", f"{network},hostfwd={forward}", "-device", f"virtio-net-pci,netdev=control,mac={CARD}"


_Options = Mapping[str, str | Path]


def _etcd(data: Path) -> _Options:
    return {"data-dir": data / "etcd", "unsafe-no-fsync": "true", "log-level": "error"}


def _api_server(version: Version, data: Path) -> _Options:
    tokens = data / "tokens"
    tokens.write_text("administrator,administrator,administrator,system:masters\n")
    return {
        "etcd-servers": "http://127.0.0.1:2379",
        "secure-port": "443",
        "bind-address": "127.0.0.1",
        "advertise-address": NODE_ADDRESS,
        "cert-dir": data / "pki",
        "service-cluster-ip-range": "10.96.0.0/16",
        "token-auth-file": tokens,
        "authorization-mode": "RBAC",
        "allow-privileged": "true",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": _accounts_key(version),
        "service-account-signing-key-file": _accounts_key(version),
        "kubelet-preferred-address-types": "InternalIP",
    }


def _controller_manager(version: Version, data: Path) -> _Options:
    return {
        "kubeconfig": data / "kubeconfig",
        "leader-elect": "false",
        "root-ca-file": data / "pki/apiserver.crt",
        "service-account-private-key-file": _accounts_key(version),
        "node-monitor-grace-period": _NODE_GRACE,
        "secure-port": "0",
    }


def _accounts_key(version: Version) -> Path:
    return version.folder / "service-accounts.key"


def _kubeconfig(data: Path) -> Path:
    path = data / "kubeconfig"
    path.write_text(_KUBECONFIG.read_text().replace("@ADDRESS@", "127.0.0.1"))
    return path


class _Parts:
    """The programs that make it up, each with a log; none outlives this process."""

    def __init__(self, within: tuple[str, ...], programs: Path, logs: Path) -> None:
        self._within = within
        self._programs = programs
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, options: _Options) -> None:
        """Start a part with its options."""
        words = (f"--{option}={value}" for option, value in options.items())
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                (*self._within, "setpriv", "--pdeathsig", "KILL", str(self._programs / name), *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self, kubeconfig: Path) -> None:
        """Wait until the API server answers that it is ready."""
        ask = ("kubectl", "--kubeconfig", str(kubeconfig), "get", "--raw", "/readyz", "--request-timeout", "5s")
        deadline_s = time.monotonic() + _START_S
        while self._run(*ask) != 0:
            if fault := self.fault():
                raise NodeError(fault)
            if time.monotonic() > deadline_s:
                raise NodeError(f"no API server in {_START_S:g} s: {self._end_of_log('kube-apiserver')}")
            time.sleep(_LOOK_S)

    def fault(self) -> str:
        """Return which part has died and what it said last; nothing while all live."""
        for name, process in self._running.items():
            if process.poll() is not None:
                return f"{name} died with status {process.returncode}: {self._end_of_log(name)}"
        return ""

    def end(self) -> None:
        """End all parts, those first that others know nothing of."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, program: str, *words: str) -> int:
        command = (*self._within, str(self._programs / program), *words)
        environment = {**os.environ, "HOME": "/nonexistent"}
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False
        ).returncode

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _end_of_log(self, name: str) -> str:
        return last_lines(self._log(name).read_bytes())

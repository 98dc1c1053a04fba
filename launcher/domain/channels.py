"""The channel to the guest's agent, on a virtio serial port."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.names import METRICS_SOCKET
from launcher.domain.xml import Element, add

# The name that qemu-guest-agent looks for, and libvirt's shutdown by the agent.
AGENT_PORT = "org.qemu.guest_agent.0"
# The name that vm-dump-metrics looks for.
METRICS_PORT = "org.github.vhostmd.1"


def fill_channels(devices: Element, blueprint: Blueprint) -> None:
    """Write the agent's channel: a unix socket on which QEMU listens, whether an agent is there or not."""
    channel = add(devices, "channel", type="unix")
    add(channel, "source", mode="bind", path=blueprint.console.beside("agent.sock"))
    add(channel, "target", type="virtio", name=AGENT_PORT)
    if blueprint.guest.has_metrics_port:
        port = add(devices, "channel", type="unix")
        add(port, "source", mode="bind", path=blueprint.console.beside(METRICS_SOCKET))
        add(port, "target", type="virtio", name=METRICS_PORT)

"""The channel to the guest's agent, on a virtio serial port."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add

# The name that qemu-guest-agent looks for, and libvirt's shutdown by the agent.
AGENT_PORT = "org.qemu.guest_agent.0"


def fill_channels(devices: Element, blueprint: Blueprint) -> None:
    """Write the agent's channel: a unix socket on which QEMU listens, whether an agent is there or not."""
    channel = add(devices, "channel", type="unix")
    add(channel, "source", mode="bind", path=blueprint.console.beside("agent.sock"))
    add(channel, "target", type="virtio", name=AGENT_PORT)

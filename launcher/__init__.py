"""virt-launcher: a libvirt domain pinning agent that proves every pin from the kernel."""

__version__ = "0.2.0"

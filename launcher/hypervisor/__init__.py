"""The hypervisor: the Protocol that the supervisor needs, and the libvirt adapter behind it."""

"""`python -m launcher` is `virt-launcher`."""

from launcher.entry import command

command()

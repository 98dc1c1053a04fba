"""The table of an emulated node's shapes, and QEMU's arguments for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hack.nodes.errors import NodeError
from hack.nodes.job import Job, command_text, job_text
from hack.nodes.machine import Disc, Kernel, Outlets, console_arguments, node_arguments
from hack.nodes.release import RELEASES
from hack.nodes.shapes import SHAPES, Shape, shape_named

_TINY = Shape(
    name="tiny",
    purpose="two nodes of one core",
    sockets=2,
    cores=1,
    threads=2,
    nodes=2,
    cpu_model="Skylake-Server",
    memory_mib_per_node=512,
    huge_pages_per_node=8,
    huge_page_mib=4,
    distances=((10, 30), (30, 10)),
    offline_cpus=frozenset({3, 1}),
    modules=("kvm-amd", "overlay"),
)
_KERNEL = Kernel(image=Path("/k/vmlinuz"), initramfs=Path("/k/initramfs"))
_MACHINE = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
    *("-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "Skylake-Server"),
    *("-smp", "4,sockets=2,cores=1,threads=2", "-m", "1024M"),
    *("-object", "memory-backend-ram,id=memory0,size=512M,prealloc=off"),
    *("-numa", "node,nodeid=0,cpus=0-1,memdev=memory0"),
    *("-object", "memory-backend-ram,id=memory1,size=512M,prealloc=off"),
    *("-numa", "node,nodeid=1,cpus=2-3,memdev=memory1"),
    *("-numa", "dist,src=0,dst=0,val=10", "-numa", "dist,src=0,dst=1,val=30"),
    *("-numa", "dist,src=1,dst=0,val=30", "-numa", "dist,src=1,dst=1,val=10"),
    *("-kernel", "/k/vmlinuz", "-initrd", "/k/initramfs", "-append"),
    (
        "console=ttyS0 loglevel=4 panic=-1 nowatchdog rcupdate.rcu_cpu_stall_timeout=300 "
        "mitigations=off init_on_alloc=0 hugepagesz=4M hugepages=0:8,1:8"
    ),
)


def test_a_shape_becomes_a_whole_command_line() -> None:
    discs = (Disc(name="root", file=Path("/d/a,b")), Disc(name="results", file=Path("/d/r"), kept=True))
    outlets = Outlets(output_fd=7, console=Path("/w/console"), status=Path("/w/status"))
    assert node_arguments(_TINY, _KERNEL, discs, outlets) == (
        *_MACHINE,
        *("-drive", "if=none,id=root,format=raw,cache=unsafe,snapshot=on,file=/d/a,,b"),
        *("-device", "virtio-blk-pci,drive=root,serial=root"),
        *("-drive", "if=none,id=results,format=raw,cache=unsafe,snapshot=off,file=/d/r"),
        *("-device", "virtio-blk-pci,drive=results,serial=results"),
        *("-serial", "file:/w/console", "-device", "virtio-serial-pci", "-add-fd", "fd=7,set=1"),
        *("-chardev", "file,id=output,path=/dev/fdset/1,append=on"),
        *("-device", "virtserialport,chardev=output,name=output"),
        *("-chardev", "file,id=status,path=/w/status", "-device", "virtserialport,chardev=status,name=status"),
    )


def test_a_console_is_this_terminal() -> None:
    assert console_arguments(_TINY, _KERNEL, ()) == (*_MACHINE, "-serial", "mon:stdio")


def test_the_init_is_told_what_qemu_cannot_do() -> None:
    job = Job(
        shape=_TINY, release=RELEASES[0], command=("true",), limit_s=60, discs=(Disc(name="image", file=Path("/d/i")),)
    )
    settings = "SHAPE=tiny\nLIMIT=60\nMODULES='kvm-amd overlay'\nOFFLINE='1 3'\nDISCS=image\n"
    assert job_text(job) == f"{settings}BEFORE=''\n"


def test_what_comes_before_a_command_has_to_go_well() -> None:
    job = Job(shape=_TINY, release=RELEASES[0], command=("echo", "a b"), limit_s=60, before="hack/up")
    assert command_text(job) == "hack/up && echo 'a b'\n"
    assert command_text(replace(job, before="")) == "echo 'a b'\n"
    assert "BEFORE=hack/up\n" in job_text(job)


def test_a_job_without_a_limit_is_a_console() -> None:
    assert "LIMIT=none\n" in job_text(Job(shape=_TINY, release=RELEASES[0], command=(), limit_s=None))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_is_consistent(shape: Shape) -> None:
    nodes = range(shape.nodes)
    assert shape.cpus % shape.nodes == 0
    assert shape.offline_cpus <= frozenset(range(1, shape.cpus)), "CPU 0 cannot go offline"
    assert shape.huge_pages_per_node * shape.huge_page_mib < shape.memory_mib_per_node
    assert len(shape.distances) in (0, shape.nodes)
    assert all(shape.distance(one, other) == shape.distance(other, one) for one in nodes for other in nodes)
    assert all(shape.distance(node, node) == 10 for node in nodes)


def test_names_are_unique() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_siblings_are_the_threads_of_one_core() -> None:
    assert [tuple(_TINY.siblings(cpu)) for cpu in range(4)] == [(0, 1), (0, 1), (2, 3), (2, 3)]


def test_an_unknown_shape_is_told_the_known_ones() -> None:
    with pytest.raises(NodeError, match=f"^there is no shape round: there are {SHAPES[0].name}, "):
        shape_named("round")

"""numa_maps and maps read: as real QEMUs have them, and as nobody should."""

from __future__ import annotations

import pytest

from launcher.supervise.memory_map import Share, Whereabouts, locate

MIB = 1 << 20
WHOLE = Share(cell=None, node=0, memory_bytes=192 * MIB)
CELLS = (Share(cell=0, node=0, memory_bytes=64 * MIB), Share(cell=1, node=1, memory_bytes=64 * MIB))

# QEMU 7.2 under libvirt 9.0: the heap, a reservation, the guest's memory, the translations of an emulated CPU.
MAPS = b"""\
56383d85b000-56383eec7000 rw-p 00000000 00:00 0                          [heap]
7facb0ed3000-7facb4000000 ---p 00000000 00:00 0
7facbec00000-7facbfc00000 rw-p 00000000 00:00 0
7facbfe00000-7faccbe00000 rw-p 00000000 00:00 0
7facccbe0000-7faccbe01000 ---p 00000000 00:00 0
7faccc000000-7fad0bfff000 rwxp 00000000 00:00 0
"""
NUMA_MAPS = b"""\
56383d85b000 default heap anon=1548 dirty=1548 active=0 N0=1548 kernelpagesize_kB=4
7facb0ed3000 default
7facbec00000 default anon=512 dirty=512 active=0 N0=512 kernelpagesize_kB=4
7facbfe00000 default anon=32256 dirty=32256 active=0 N0=32000 N1=256 kernelpagesize_kB=4
7faccc000000 default anon=8704 dirty=8704 active=0 N0=8704 kernelpagesize_kB=4
"""
# Two cells in files of huge pages, which are named for them; as libvirt 9.0 and 11.3 name them.
_FILE = b"/dev/hugepages/libvirt/qemu-embed-1797e4a6/1-tests_demo/qemu_back_mem.%s.OoOlCN"
HUGE_MAPS = (
    b"7f0000000000-7f0004000000 rw-p 00000000 00:27 29086    " + _FILE % b"_objects_ram-node1" + b" (deleted)\n"
    b"7f0010000000-7f0014000000 rw-p 00000000 00:27 29087    " + _FILE % b"ram-node0" + b" (deleted)\n"
)
HUGE_NUMA_MAPS = (
    b"7f0000000000 bind:1 file=" + _FILE % b"_objects_ram-node1" + b"\\040(deleted) huge anon=32 dirty=32 N0=2 N1=30 "
    b"kernelpagesize_kB=2048\n"
    b"7f0010000000 bind:0 file=" + _FILE % b"ram-node0" + b"\\040(deleted) huge anon=32 dirty=32 N0=32 "
    b"kernelpagesize_kB=2048\n"
)
# The same size twice: what belongs to which cell is told by the policy alone.
BOUND_MAPS = b"""\
7f0000000000-7f0004000000 rw-s 00000000 00:01 1025    /memfd:memory-backend-memfd (deleted)
7f0010000000-7f0014000000 rw-s 00000000 00:01 1026    /memfd:memory-backend-memfd (deleted)
7f0020000000-7f0024000000 rw-p 00000000 00:00 0
"""
BOUND_NUMA_MAPS = b"""\
7f0000000000 bind=static:1 file=/memfd:memory-backend-memfd\\040(deleted) dirty=16384 N1=16384 kernelpagesize_kB=4
7f0010000000 bind:0 file=/memfd:memory-backend-memfd\\040(deleted) dirty=16384 N0=16384 kernelpagesize_kB=4
7f0020000000 bind:0-1 anon=16384 dirty=16384 N0=8192 N1=8192 kernelpagesize_kB=4
"""
# The kernel divides a mapping of which a part was treated differently (madvise).
DIVIDED_MAPS = b"""\
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
7f0000100000-7f0003100000 rw-p 00000000 00:00 0
7f0003100000-7f0004100000 rw-p 00000000 00:00 0
7f0005000000-7f0006000000 rw-p 00000000 00:00 0
"""
DIVIDED_NUMA_MAPS = b"""\
7f0000000000 default anon=1 dirty=1 N1=1 kernelpagesize_kB=4
7f0000100000 default anon=100 dirty=100 N0=100 kernelpagesize_kB=4
7f0003100000 default anon=10 dirty=10 N0=8 N1=2 kernelpagesize_kB=4
7f0005000000 default anon=7 dirty=7 N1=7 kernelpagesize_kB=4
"""


def _found(*shares: Share, numa_maps: bytes, maps: bytes) -> list[tuple[int | None, int, dict[int, int]]]:
    return [(one.share.cell, one.page_bytes, dict(one.bytes_on)) for one in locate(shares, numa_maps, maps)]


def test_anonymous_memory_is_known_by_its_size() -> None:
    assert _found(WHOLE, numa_maps=NUMA_MAPS, maps=MAPS) == [(None, 4096, {0: 32000 * 4096, 1: MIB})]


def test_huge_pages_are_known_by_their_files_names() -> None:
    assert _found(*CELLS, numa_maps=HUGE_NUMA_MAPS, maps=HUGE_MAPS) == [
        (0, 2 * MIB, {0: 64 * MIB}),
        (1, 2 * MIB, {0: 4 * MIB, 1: 60 * MIB}),
    ]


def test_cells_that_have_no_name_are_known_by_what_they_are_bound_to() -> None:
    assert _found(*CELLS, numa_maps=BOUND_NUMA_MAPS, maps=BOUND_MAPS) == [
        (0, 4096, {0: 64 * MIB}),
        (1, 4096, {1: 64 * MIB}),
    ]


def test_a_mapping_that_the_kernel_has_divided_is_one() -> None:
    share = Share(cell=None, node=0, memory_bytes=64 * MIB)
    assert _found(share, numa_maps=DIVIDED_NUMA_MAPS, maps=DIVIDED_MAPS) == [(None, 4096, {0: 108 * 4096, 1: 2 * 4096})]


def test_memory_that_was_never_touched_is_on_no_node() -> None:
    numa_maps = NUMA_MAPS.replace(b" anon=32256 dirty=32256 active=0 N0=32000 N1=256 kernelpagesize_kB=4", b"")
    assert _found(WHOLE, numa_maps=numa_maps, maps=MAPS) == [(None, 0, {})]


def test_of_two_that_are_alike_the_fuller_one_is_the_guests() -> None:
    maps = MAPS + b"7fae00000000-7fae0c000000 rw-p 00000000 00:00 0\n"
    numa_maps = NUMA_MAPS + b"7fae00000000 default anon=5 dirty=5 N1=5 kernelpagesize_kB=4\n"
    assert _found(WHOLE, numa_maps=numa_maps, maps=maps)[0][2] == {0: 32000 * 4096, 1: MIB}


@pytest.mark.parametrize(
    ("node", "elsewhere"), [(0, ((1, MIB),)), (1, ((0, 32000 * 4096),)), (2, ((0, 32000 * 4096), (1, MIB))), (None, ())]
)
def test_what_lies_elsewhere_depends_on_where_it_belongs(
    node: int | None, elsewhere: tuple[tuple[int, int], ...]
) -> None:
    share = Share(cell=None, node=node, memory_bytes=192 * MIB)
    (found,) = locate((share,), NUMA_MAPS, MAPS)
    assert isinstance(found, Whereabouts)
    assert found.elsewhere == elsewhere


_LINE = b"7facbfe00000 default anon=32256 dirty=32256 active=0 N0=32000 N1=256 kernelpagesize_kB=4\n"
BAD = {
    "nothing at all": (b"", MAPS, "in maps, but not in numa_maps"),
    "no mappings": (NUMA_MAPS, b"", "no mapping of 201326592 bytes among those of QEMU"),
    "neither": (b"", b"", "no mapping of"),
    "a last line that was cut off": (_LINE[:40], MAPS, "not in numa_maps"),
    "a last line of maps that was cut off": (NUMA_MAPS, MAPS[:210], "no mapping of"),
    "another process's": (_LINE.replace(b"7facbfe", b"7facbff"), MAPS, "not in numa_maps"),
    "bytes that are no text": (b"\xff\xfe\x00" * 100 + b"\n", MAPS, "not in numa_maps"),
    "maps that are no text": (NUMA_MAPS, b"\xff\xfe\x00\n" * 100, "no mapping of"),
    "pages without their size": (_LINE.replace(b" kernelpagesize_kB=4", b""), MAPS, "pages without their size"),
    "pages of no size": (_LINE.replace(b"kB=4", b"kB=0"), MAPS, "pages without their size"),
    "a node that there cannot be": (_LINE.replace(b"N1=", b"N9999="), MAPS, "pages on node 9999"),
    "a mapping twice as large": (NUMA_MAPS, MAPS.replace(b"7faccbe00000", b"7facd7e00000"), "no mapping of"),
    "a mapping that ends before it begins": (NUMA_MAPS, MAPS.replace(b"-7faccbe00000", b"-7facb0000000"), "no mapping"),
    "a mapping that is only read": (NUMA_MAPS, MAPS.replace(b"7faccbe00000 rw-p", b"7faccbe00000 r--p"), "no mapping"),
}  # fmt: skip


@pytest.mark.parametrize(("numa_maps", "maps", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_no_answer(numa_maps: bytes, maps: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        locate((WHOLE,), numa_maps, maps)


HOSTILE = {
    "a file's name that speaks of nodes": b" file=/tmp/N1\\075999\\040N2\\075999",
    "numbers of other things": b" mapped=99999 mapmax=77 swapcache=5 active=N1",
    "a count that is no number": b" N1=x N2=-5 N3=1e9",
    "a count beyond all bounds": b" N1=" + b"9" * 400,
    "a policy of several words": b" prefer (many):0-1",
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_words_that_only_look_like_pages_count_for_nothing(words: bytes) -> None:
    numa_maps = _LINE.replace(b" anon", words + b" anon").replace(b" N1=256", b"")
    assert _found(WHOLE, numa_maps=numa_maps, maps=MAPS) == [(None, 4096, {0: 32000 * 4096})]


def test_a_line_without_end_is_read_in_time() -> None:
    numa_maps = _LINE + b"7faccc000000 default " + b"N0=1 " * 1_000_000 + b"\n" + b"a" * (1 << 20) + b"\n"
    assert _found(WHOLE, numa_maps=numa_maps, maps=MAPS)[0][2] == {0: 32000 * 4096, 1: MIB}

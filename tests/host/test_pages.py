"""Huge pages that are promised or may be made, and what control groups allow: read, shown, captured; bad files, too."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.capture import CaptureTree, capture, parse_capture
from launcher.host.model import AllowedCPUs, Bounds, Host, PageLimit, PagePool
from launcher.host.page_limits import read_page_limits
from launcher.host.pages import read_pools
from launcher.observe.hostview import HostView, host_document, host_text

_SIZES = "sys/kernel/mm/hugepages"
_2M, _1G = f"{_SIZES}/hugepages-2048kB", f"{_SIZES}/hugepages-1048576kB"
_GROUP = "sys/fs/cgroup/pods/ctr"
_OLD_GROUP = "sys/fs/cgroup/hugetlb/pods/ctr"
_V2 = {"proc/self/cgroup": "0::/pods/ctr", "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"}
_V1 = {
    "proc/self/cgroup": "5:hugetlb:/pods/ctr",
    "proc/self/mountinfo": "31 30 0:27 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb",
}
_KNOWN = {f"{_2M}/resv_hugepages": "0", f"{_1G}/resv_hugepages": "0"}
MIB, GIB = 1 << 20, 1 << 30

Files = Mapping[str, str]


def _tree(files: Files) -> CaptureTree:
    return parse_capture("".join(f"{path}: {text}\n" for path, text in files.items()), "host")


@pytest.mark.parametrize(
    ("files", "pools"),
    [
        pytest.param({"proc/x": ""}, (), id="a kernel without huge pages"),
        pytest.param(_KNOWN, (), id="nothing promised, and none can be made"),
        pytest.param(
            {f"{_2M}/resv_hugepages": "12", f"{_1G}/resv_hugepages": "1"},
            (PagePool(size_bytes=2 * MIB, promised=12), PagePool(size_bytes=GIB, promised=1)),
            id="promised of two sizes",
        ),
        pytest.param(
            {f"{_2M}/nr_overcommit_hugepages": "512", f"{_2M}/surplus_hugepages": "12"},
            (PagePool(size_bytes=2 * MIB, makeable=500),),
            id="some of those that may be made are",
        ),
        pytest.param(
            {f"{_2M}/nr_overcommit_hugepages": "4", f"{_2M}/surplus_hugepages": "12"},
            (),
            id="more are made than may be by now",
        ),
    ],
)
def test_pools_are_read(files: Files, pools: tuple[PagePool, ...]) -> None:
    assert read_pools(_tree(files)) == pools


_LIMITS = [
    pytest.param(_V2, {}, (), id="no limit"),
    pytest.param(_V2, {f"{_GROUP}/hugetlb.2MB.max": "max", f"{_GROUP}/hugetlb.2MB.current": "0"}, (), id="max"),
    pytest.param(
        _V2,
        {f"{_GROUP}/hugetlb.2MB.max": "67108864", f"{_GROUP}/hugetlb.2MB.current": "4194304"},
        ((2 * MIB, 64 * MIB, 4 * MIB, f"/{_GROUP}/hugetlb.2MB.max"),),
        id="the own group's",
    ),
    pytest.param(
        _V2,
        {f"{_GROUP}/hugetlb.2MB.max": "67108864", "sys/fs/cgroup/pods/hugetlb.2MB.max": "0"},
        ((2 * MIB, 0, 0, "/sys/fs/cgroup/pods/hugetlb.2MB.max"),),
        id="a tighter one above",
    ),
    pytest.param(
        _V2,
        {
            f"{_GROUP}/hugetlb.1GB.max": "2147483648",
            f"{_GROUP}/hugetlb.1GB.rsvd.max": "2147483648",
            f"{_GROUP}/hugetlb.1GB.rsvd.current": "1073741824",
        },
        ((GIB, 2 * GIB, GIB, f"/{_GROUP}/hugetlb.1GB.rsvd.max"),),
        id="what is promised counts, too",
    ),
    pytest.param(
        _V1,
        {f"{_OLD_GROUP}/hugetlb.2MB.limit_in_bytes": "0", f"{_OLD_GROUP}/hugetlb.1GB.limit_in_bytes": "1073741824"},
        (
            (2 * MIB, 0, 0, f"/{_OLD_GROUP}/hugetlb.2MB.limit_in_bytes"),
            (GIB, GIB, 0, f"/{_OLD_GROUP}/hugetlb.1GB.limit_in_bytes"),
        ),
        id="version 1",
    ),
    pytest.param(
        _V1, {f"{_OLD_GROUP}/hugetlb.2MB.limit_in_bytes": "9223372036854771712"}, (), id="version 1 without a limit"
    ),
]


@pytest.mark.parametrize(("groups", "files", "limits"), _LIMITS)
def test_limits_are_read_of_all_groups(
    groups: Files, files: Files, limits: tuple[tuple[int, int, int, str], ...]
) -> None:
    expected = tuple(
        PageLimit(size_bytes=size, limit_bytes=limit, used_bytes=used, source=source)
        for size, limit, used, source in limits
    )
    assert read_page_limits(_tree({**_KNOWN, **groups, **files})) == expected


@pytest.mark.parametrize(("groups", "files", "limits"), _LIMITS)
def test_a_capture_keeps_the_limits(groups: Files, files: Files, limits: tuple[object, ...]) -> None:
    files = {"sys/devices/system/cpu/online": "0", "proc/sys/kernel/arch": "x86_64", **_KNOWN, **groups, **files}
    text = capture(_tree(files), CPUSet.parse("0"), "x86_64")
    assert read_page_limits(parse_capture(text, "again")) == read_page_limits(_tree(files))
    assert len(read_page_limits(_tree(files))) == len(limits)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({f"{_2M}/resv_hugepages": ""}, f"host: /{_2M}/resv_hugepages: '' is not an integer", id="empty"),
        pytest.param(
            {f"{_2M}/nr_overcommit_hugepages": "1 2"},
            f"host: /{_2M}/nr_overcommit_hugepages: '1 2' is not an integer",
            id="two numbers",
        ),
    ],
)
def test_a_torn_file_of_the_pools_is_named(files: Files, message: str) -> None:
    with pytest.raises(HostError) as caught:
        read_pools(_tree(files))
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "64M", "-"])
@pytest.mark.parametrize("name", ["max", "current"])
def test_a_torn_limit_is_named(name: str, text: str) -> None:
    files = {f"{_GROUP}/hugetlb.2MB.max": "0", f"{_GROUP}/hugetlb.2MB.current": "0"}
    with pytest.raises(HostError) as caught:
        read_page_limits(_tree({**_KNOWN, **_V2, **files, f"{_GROUP}/hugetlb.2MB.{name}": text}))
    assert str(caught.value) == f"host: /{_GROUP}/hugetlb.2MB.{name}: {text!r} is not an integer"


def test_pools_and_limits_are_shown() -> None:
    host = Host(cpus=(), nodes=(), page_pools=(PagePool(size_bytes=2 * MIB, promised=12, makeable=500),))
    limit = PageLimit(size_bytes=GIB, limit_bytes=2 * GIB, used_bytes=GIB, source="/f")
    view = HostView(host=host, allowed=AllowedCPUs(cpus=CPUSet(), source="", bounds=Bounds(page_limits=(limit,))))
    shown = [line for line in host_text(view).splitlines() if line.startswith("pages")]
    assert shown == [
        "pages     of 2 MiB: 12 of the free ones are promised, 500 more can be made",
        "pages     of 1 GiB: 1 GiB of 2 GiB used, read from /f",
    ]
    document = host_document(view)
    assert document["page_pools"] == [{"size_bytes": 2 * MIB, "promised": 12, "makeable": 500}]
    assert document["page_limits"] == [{"size_bytes": GIB, "limit_bytes": 2 * GIB, "used_bytes": GIB, "source": "/f"}]

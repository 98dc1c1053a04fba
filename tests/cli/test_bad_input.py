"""Bad input: one clear line with field or file, found and wanted; the right exit status; no traceback."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.cli import main

EXAMPLES = Path(__file__).parent.parent.parent / "templates/examples"
SMALLEST = (EXAMPLES / "smallest.yaml").read_text()
DEDICATED = (EXAMPLES / "dedicated.yaml").read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is typed, what is in the file vmi.yaml of the current folder, and what has to come of it."""

    id: str
    arguments: str
    status: int
    wanted: str
    vmi: bytes | None = None


def _with(text: str, old: str, new: str) -> bytes:
    assert old in text, f"the example has no {old!r} any more"
    return text.replace(old, new, 1).encode()


ROWS = (
    Row(
        id="a file that is not there",
        arguments="check none.yaml",
        status=3,
        wanted="none.yaml: cannot be read: No such file",
    ),
    Row(id="a folder", arguments="check .", status=3, wanted=r"\.: "),
    Row(id="an empty file", arguments="check vmi.yaml", vmi=b"", status=3, wanted="vmi.yaml: .*empty"),
    Row(id="no YAML", arguments="check vmi.yaml", vmi=b"a: [", status=3, wanted=r"vmi.yaml: .*line \d+"),
    Row(id="no text", arguments="check vmi.yaml", vmi=b"\xff\xfe\x00", status=3, wanted="vmi.yaml: "),
    Row(
        id="two documents without a machine",
        arguments="check vmi.yaml",
        vmi=b"a: 1\n---\nb: 2\n",
        status=3,
        wanted="holds no VirtualMachine.*but 2 object",
    ),
    Row(
        id="over a mebibyte",
        arguments="check vmi.yaml",
        vmi=b"#" * (1 << 20) + b"#\n",
        status=3,
        wanted="vmi.yaml: is larger than 1024 KiB",
    ),
    Row(
        id="another kind",
        arguments="check vmi.yaml",
        vmi=b"apiVersion: v1\nkind: Pod\n",
        status=3,
        wanted="kind: 'Pod'",
    ),
    Row(id="no kind", arguments="check vmi.yaml", vmi=b"a: 1\n", status=3, wanted="kind: missing"),
    Row(
        id="a field that nobody has",
        arguments="check vmi.yaml",
        vmi=_with(DEDICATED, "cores:", "coers:"),
        status=3,
        wanted=r"spec\.domain\.cpu\.coers: .*cores",
    ),
    Row(
        id="a negative number of cores",
        arguments="check vmi.yaml",
        vmi=_with(DEDICATED, "cores: ", "cores: -"),
        status=3,
        wanted=r"spec\.domain\.cpu\.cores: -\d",
    ),
    Row(
        id="a fractional number of cores",
        arguments="check vmi.yaml",
        vmi=re.sub(rb"cores: \d+", b"cores: 1.5", DEDICATED.encode()),
        status=3,
        wanted=r"spec\.domain\.cpu\.cores: 1\.5",
    ),
    Row(
        id="more CPUs needed than found",
        arguments="plan vmi.yaml --host 'node:1 core:1 pu:1'",
        vmi=DEDICATED.encode(),
        status=5,
        wanted=r"needs \d+ CPUs .*found 1 .*request limits\.cpu: \d+",
    ),
    Row(
        id="a cpulist that runs backwards",
        arguments="plan vmi.yaml --cpuset 3-1",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="--cpuset: '3-1'",
    ),
    Row(
        id="a cpulist without an end",
        arguments="plan vmi.yaml --cpuset 0-",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="--cpuset: '0-'",
    ),
    Row(
        id="a cpulist beyond any machine",
        arguments="plan vmi.yaml --cpuset 0-9999999",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="--cpuset: '0-9999999'",
    ),
    Row(
        id="an empty cpuset",
        arguments="plan vmi.yaml --cpuset ''",
        vmi=SMALLEST.encode(),
        status=4,
        wanted="--cpuset: .*empty",
    ),
    Row(
        id="a cpuset of CPUs that the host does not have",
        arguments="plan vmi.yaml --cpuset 70-71 --host 'node:1 core:2 pu:2'",
        vmi=SMALLEST.encode(),
        status=4,
        wanted="none of the CPUs 70-71 is online",
    ),
    Row(
        id="two words on the cpuset",
        arguments="plan vmi.yaml --cpuset 0 --kubelet reserved=0",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="--cpuset and --kubelet exclude each other",
    ),
    Row(
        id="a host that is neither file nor shape",
        arguments="plan vmi.yaml --host x",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="--host x: no such file",
    ),
    Row(
        id="a shape that makes no sense",
        arguments="plan vmi.yaml --host 'core:'",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="synthetic host",
    ),
    Row(
        id="a capture that is none",
        arguments="plan vmi.yaml --host vmi.yaml",
        vmi=SMALLEST.encode(),
        status=4,
        wanted="vmi.yaml",
    ),
    Row(
        id="an option that the kubelet does not have",
        arguments="plan vmi.yaml --kubelet full-pcpus",
        vmi=SMALLEST.encode(),
        status=2,
        wanted="full-pcpus-only",
    ),
    Row(
        id="a request that the kubelet refuses",
        arguments="plan vmi.yaml --host 'node:1 core:1 pu:2' --kubelet reserved=0",
        vmi=DEDICATED.encode(),
        status=5,
        wanted="not enough cpus|needs|requested",
    ),
    Row(
        id="a template that is not there",
        arguments="render vmi.yaml --template none.xml --host 'node:1 core:4 pu:2'",
        vmi=SMALLEST.encode(),
        status=6,
        wanted="none.xml: cannot be read: No such file or directory; wanted a domain template",
    ),
    Row(
        id="a template without an end",
        arguments="render vmi.yaml --template /dev/zero --host 'node:1 core:4 pu:2'",
        vmi=SMALLEST.encode(),
        status=6,
        wanted="/dev/zero: is larger than 1024 KiB; wanted a domain template",
    ),
    Row(
        id="a template that sets what the launcher owns",
        arguments="render vmi.yaml --template vmi.xml --host 'node:1 core:4 pu:2'",
        vmi=SMALLEST.encode(),
        status=6,
        wanted=r"vmi\.xml: line 1: /domain/name is written by the launcher",
    ),
    Row(
        id="a capture that cannot be written",
        arguments="host --capture none/x",
        status=4,
        wanted="--capture none/x: No such file",
    ),
    Row(
        id="a capture of another host",
        arguments="host --capture - --host 'node:1 pu:1'",
        status=2,
        wanted="--capture writes down",
    ),
)


def _type(arguments: str) -> int:
    return main(shlex.split(arguments))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_bad_input_ends_in_one_clear_line_and_its_exit_status(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vmi.xml").write_text("<domain><name>x</name></domain>")
    if row.vmi is not None:
        (tmp_path / "vmi.yaml").write_bytes(row.vmi)
    status = _type(row.arguments)
    out, err = capsys.readouterr()
    said = out if row.arguments.startswith("check") else err
    assert (status, "Traceback" in out + err) == (row.status, False)
    assert re.search(row.wanted, said), said
    assert len(said.splitlines()) == 1, said


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", "required: VERB"),
        ("fly", "invalid choice: 'fly'"),
        ("plan", "required: VMI"),
        ("plan x --frmat json", "unrecognized arguments: --frmat"),
        ("run x --virt-type xen", "invalid choice: 'xen'"),
        ("run x --grace-period -1", "'-1' is not a number of seconds"),
        ("run x --settle-timeout nan", "'nan' is not a number of seconds"),
        ("run ''", "argument VMI: is empty"),
        ("run x --root ''", "argument --root: is empty"),
        ("run x --connect ''", "argument --connect: is empty"),
        ("run x --volumes ''", "argument --volumes: is empty"),
        ("plan x --host ''", "argument --host: is empty"),
        ("host --host ''", "argument --host: is empty"),
        ("host --capture ''", "argument --capture: is empty"),
        ("console --socket ''", "argument --socket: is empty"),
        ("verify '' --connect test:///default", "argument DOMAIN: is empty"),
        ("node-label --apply --every 1e300", "'1e300' is more than a year"),
    ],
)
def test_a_wrong_command_line_is_usage(arguments: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(arguments))
    out, err = capsys.readouterr()
    assert (ended.value.code, out, len(err.splitlines()), wanted in err) == (2, "", 1, True), err


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("VIRT_LAUNCHER_DRIFT", "ignore", "'ignore' is none of repair, report, fail, off"),
        ("VIRT_LAUNCHER_VERBOSE", "yes", "'yes' is none of 0, 1"),
        ("VIRT_LAUNCHER_GRACE_PERIOD", "1m", "'1m' is not a number of seconds, zero or more"),
    ],
)
def test_a_wrong_environment_variable_is_usage_and_named(
    variable: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main(["run", "x"])
    assert (ended.value.code, f"{variable}: {wanted}" in capsys.readouterr().err) == (2, True)

"""An installation without libvirt's Python binding: a dry run is whole, and what needs it says so in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.distribution.builds import Builds
from tests.vmi.manifests import EXAMPLES

DEMO = str(EXAMPLES / "demo.yaml")
DEDICATED = str(EXAMPLES / "dedicated.yaml")
SHAPE = "node:2 core:4 pu:2"


@pytest.fixture(scope="session")
def command(builds: Builds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment with the wheel and what it requires, and with nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3.*/site-packages")
    for needed in requirements(distribution("virt-launcher")):
        lend(needed, site)
    # No index and no build: pip takes this wheel, and finds everything that it requires already there.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", builds.wheel], check=True)
    return folder / "bin/virt-launcher"


def requirements(of: Distribution) -> set[str]:
    """Return the names of what a package requires without any extra, and of what that requires."""
    found = set()
    for requirement in map(Requirement, of.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= {requirement.name, *requirements(distribution(requirement.name))}
    return found


def lend(name: str, site: Path) -> None:
    """Let an environment have a package of this one's."""
    for top in {Path(file).parts[0] for file in distribution(name).files or () if Path(file).parts[0] != ".."}:
        if top != "__pycache__":
            (site / top).symlink_to(str(distribution(name).locate_file(top)))


def call(command: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command elsewhere than in the checkout, which Python would look into."""
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run(
        [command, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_there_is_no_binding(command: Path, tmp_path: Path) -> None:
    imported = call(command.parent / "python", "-c", "import libvirt", folder=tmp_path)
    assert "No module named 'libvirt'" in imported.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["plan", DEDICATED, "--host", SHAPE, "--explain"], "vCPU 3", id="plan"),
        pytest.param(["plan", DEDICATED, "--host", SHAPE, "--format", "svg"], "<svg", id="plan as a picture"),
        pytest.param(["render", DEDICATED, "--host", SHAPE], "<vcpupin vcpu=", id="render"),
        pytest.param(["check", DEDICATED, "--host", SHAPE], "", id="check"),
        pytest.param(["pod", DEDICATED], "kind: Pod", id="pod"),
        pytest.param(["pod", DEDICATED, "--explain"], "memory", id="pod explained"),
        pytest.param(["host"], "cpuset", id="host"),
        pytest.param(["host", "--capture", "-"], "sys/devices/system/cpu", id="a captured host"),
        pytest.param(["schema"], '"$schema"', id="schema"),
        pytest.param(["--help"], "virt-launcher", id="help"),
    ],
)
def test_a_dry_run_is_whole(command: Path, tmp_path: Path, words: list[str], says: str) -> None:
    ended = call(command, *words, folder=tmp_path)
    assert (ended.returncode, says in ended.stdout) == (0, True), ended.stdout + ended.stderr


@pytest.mark.parametrize("verb", ["status", "console", "pause", "resume", "shutdown", "reset"])
def test_what_asks_a_launcher_needs_no_libvirt_to_say_that_there_is_none(
    command: Path, tmp_path: Path, verb: str
) -> None:
    ended = call(command, verb, "--root", str(tmp_path / "root"), folder=tmp_path)
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, "listens there" in line, "python3-libvirt" in line) == (7, True, False)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["run", DEMO, "--virt-type", "qemu"], id="run"),
        pytest.param(["run", DEMO, "--connect", "qemu:///system"], id="run --connect"),
        pytest.param(["render", DEDICATED, "--host", SHAPE, "--format", "argv"], id="render --format argv"),
        pytest.param(["verify", "demo", "--connect", "qemu:///system"], id="verify --connect"),
        pytest.param(["verify"], id="verify"),
    ],
)
def test_what_needs_libvirt_names_the_extra_and_debians_package_in_one_line(
    command: Path, tmp_path: Path, words: list[str]
) -> None:
    root = [] if "--connect" in words else ["--root", str(tmp_path / "root")]
    ended = call(command, *words, *root, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (7, "")
    (line,) = ended.stderr.splitlines()
    assert "virt-launcher[libvirt]" in line
    assert "python3-libvirt" in line
    assert not (tmp_path / "root").exists()


def test_a_manifest_at_fault_is_told_before_what_is_not_installed(command: Path, tmp_path: Path) -> None:
    (tmp_path / "vmi.yaml").write_text("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {}\n")
    ended = call(command, "run", "vmi.yaml", "--root", str(tmp_path / "root"), folder=tmp_path)
    assert ended.returncode == 3
    assert "python3-libvirt" not in ended.stderr


def test_a_binding_whose_library_is_gone_is_told_with_the_library(command: Path, tmp_path: Path) -> None:
    binding = tmp_path / "binding"
    binding.mkdir()
    (binding / "libvirt.py").write_text("import libvirtmod\n")
    # A file that is no library: what the loader says of one that is missing comes the same way.
    suffix = next(iter(Path(str(distribution("libvirt-python").locate_file("."))).glob("libvirtmod.*"))).name
    shutil.copy("/dev/null", binding / suffix)
    program = f"import sys; sys.path.insert(0, {str(binding)!r}); from launcher.cli import command; command()"
    words = ["-c", program, "verify", "demo", "--connect", "test:///default"]
    ended = call(command.parent / "python", *words, folder=tmp_path)
    assert ended.returncode == 7
    assert "libvirt cannot be loaded" in ended.stderr
    assert "libvirt0" in ended.stderr

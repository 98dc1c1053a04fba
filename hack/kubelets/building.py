"""Go programs out of a kubelet's own packages, built into .cache/kubernetes, each version's by its own go.mod."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hack.kubelets.errors import GoError

CHECKOUT = Path(__file__).resolve().parent.parent.parent
LOCKS = CHECKOUT / "hack" / "kubernetes"
CACHE = CHECKOUT / ".cache" / "kubernetes"
VERSIONS = ("1.36", "1.37")
NEEDED_GO = (1, 26)
_ORACLE = CHECKOUT / "hack" / "kubelet-oracle"
_OF_KUBERNETES = (
    "k8s.io/kubernetes/cmd/kubelet",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubectl",
    "go.etcd.io/etcd/server/v3",
)
_OF_CONTAINERD = tuple(
    f"github.com/containerd/containerd/v2/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")
)
# Folders beside the versions' that programs are made of.
_OWN = ("containerd", "device-plugin", "pause")
# What a program is called where it is not as its package.
_NAMES = {"go.etcd.io/etcd/server/v3": "etcd"}


@dataclass(frozen=True, slots=True)
class Version:
    """A minor version of Kubernetes that has a go.mod in hack/kubernetes."""

    name: str

    @property
    def lock(self) -> Path:
        """Its go.mod; go.sum lies beside it."""
        return LOCKS / f"v{self.name}" / "go.mod"

    @property
    def folder(self) -> Path:
        """Where its programs are built."""
        return CACHE / self.name


def version_named(name: str) -> Version:
    """Return the version of that name; raises GoError for one that is not locked here."""
    if name not in VERSIONS:
        raise GoError(f"Kubernetes {name}: not locked here, wanted one of {', '.join(VERSIONS)}")
    return Version(name)


def check_go() -> None:
    """Raise GoError where Go is missing or older than these versions need."""
    if shutil.which("go") is None:
        raise GoError(f"no Go: wanted Go {_dotted(NEEDED_GO)} or newer, which builds the kubelet, for its tests alone")
    # GOTOOLCHAIN=local: another Go is not to be fetched to answer which one is there.
    answer = subprocess.run(
        ("go", "env", "GOVERSION"), env=_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    words = answer.stdout.strip().removeprefix("go").split(".")
    found = tuple(int(word) for word in words[:2] if word.isdecimal())
    if found < NEEDED_GO:
        raise GoError(f"Go {answer.stdout.strip() or 'of no version'} is too old: wanted {_dotted(NEEDED_GO)} or newer")


def is_built(version: Version) -> bool:
    """Tell whether a version's programs are built of what the checkout has now: then nobody needs Go."""
    stamp = version.folder / "stamp"
    return stamp.exists() and stamp.read_text() == _key(version)


def _key(version: Version) -> str:
    """Return a name for all that the programs are made of."""
    files = [Path(__file__), version.lock, version.lock.with_name("go.sum")]
    files += (path for name in _OWN for path in sorted((LOCKS / name).iterdir()))
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def build_programs(version: Version) -> Path:
    """Build a version's Kubernetes and containerd, where anything of them changed, and return the folder of both.

    A quarter of an hour on two CPUs the first time.
    """
    if is_built(version):
        return version.folder
    check_go()
    full = _go_output("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes", folder=version.lock.parent)
    major, minor = version.name.split(".")
    names = {"gitVersion": full, "gitMajor": major, "gitMinor": minor}
    # Without these a kubelet calls itself v0.0.0, which an API server takes for too old.
    told = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in names.items())
    for package in _OF_KUBERNETES:
        _build(version.folder / "bin", package, ("-ldflags", f"-s -w {told}"), folder=version.lock.parent)
    for package in _OF_CONTAINERD:
        _build(version.folder / "bin", package, ("-tags", "no_btrfs", "-ldflags", "-s -w"), folder=LOCKS / "containerd")
    modules = ("-modfile", str(version.lock))
    folder = LOCKS / "device-plugin"
    _build(version.folder / "bin", ".", (*modules, "-ldflags", "-s -w"), folder=folder, name="device-plugin")
    _build(version.folder, ".", ("-ldflags", "-s -w"), folder=LOCKS / "pause", name="pause")
    (version.folder / "stamp").write_text(_key(version))
    return version.folder


def build_oracle(version: Version) -> Path:
    """Build the program that asks this version's kubelet, if anything of it changed, and return it."""
    check_go()
    program = version.folder / "kubelet-oracle"
    program.parent.mkdir(parents=True, exist_ok=True)
    tags = ("-tags", "kubelet_" + version.name.replace(".", "_"))
    _go("build", "-trimpath", *tags, "-modfile", str(version.lock), "-o", str(program), ".", folder=_ORACLE)
    return program


def _build(target: Path, package: str, flags: tuple[str, ...], *, folder: Path, name: str | None = None) -> None:
    program = target / (name or _NAMES.get(package, package.rsplit("/", 1)[-1]))
    target.mkdir(parents=True, exist_ok=True)
    _go("build", "-trimpath", *flags, "-o", str(program), package, folder=folder)


def _go(*arguments: str, folder: Path) -> None:
    done = subprocess.run(("nice", "-n", "10", "go", *arguments), cwd=folder, env=_environment(), check=False)
    if done.returncode:
        raise GoError(f"go {arguments[0]} in {folder} failed with status {done.returncode}; its words stand above")


def _go_output(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        ("go", *arguments), cwd=folder, env=_environment(), capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise GoError(f"go {arguments[0]} in {folder}: {done.stderr.strip()[-300:] or 'it failed without a word'}")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """Return the environment of a build that is the same everywhere: no C compiler, workspace or flags of others."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))

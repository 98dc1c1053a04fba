"""The arguments: every verb's options, and the environment variables that stand for them."""

from __future__ import annotations

import argparse
import importlib
import math
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, NoReturn

from launcher import __version__
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

# The width of help texts. That of the terminal would be asked for with every option that is added.
_HELP_WIDTH = 100

# The kernel's clocks end some centuries later.
_YEAR_S = 366 * 86400

_EXIT_STATUSES = """\
exit statuses:
  0 guest powered off (or the verb did its work)   6 the domain template cannot be used
  1 a bug, with traceback                          7 libvirt or QEMU would not start the guest
  2 usage                                          8 the guest crashed or QEMU died
  3 the VMI is invalid                             9 destroyed after the grace period
  4 host or cgroup unreadable or implausible      10 the pinning could not be enforced
  5 the guest does not fit

Every option of `run` is also an environment variable: --grace-period is VIRT_LAUNCHER_GRACE_PERIOD.
"""


class _Parser(argparse.ArgumentParser):
    """argparse's, that says what is wrong in one line, and is not surprised by an output that takes nothing."""

    def error(self, message: str) -> NoReturn:
        complain(f"{self.prog}: error: {message}; {self.prog} --help says what there is")
        self.exit(ExitStatus.USAGE)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Write the help or the version: what else argparse prints goes through `error`."""
        del file
        show(message, end="")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; leaves with exit status 2 and one line where it is wrong.

    The result's `verb_function` takes the result and returns the exit status.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="virt-launcher",
        description="Start a KubeVirt virtual machine whose every thread is pinned, and proved so by the kernel.",
        epilog=_EXIT_STATUSES,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=_HELP_WIDTH),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"virt-launcher {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add_verb in _verbs_to_add(arguments):
        add_verb(verbs)
    return parser.parse_args(arguments)


def parse_run(arguments: Sequence[str]) -> dict[str, object] | None:
    """Parse the command line of `run` for a process that has no use for argparse, and return the options by name.

    Says nothing; None where there is something to say, for `parse_arguments` to say it.
    """
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), suppress(SystemExit):
        options = vars(parse_arguments(arguments))
        del options["verb_function"]
        return options
    return None


Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _verbs_to_add(arguments: Sequence[str]) -> tuple[Callable[[Verbs[argparse.ArgumentParser]], None], ...]:
    """Return what adds the verb that is asked for, alone, since each takes time; all of them where none is."""
    by_name = {
        "run": _add_run,
        "plan": _add_plan,
        "render": _add_render,
        "check": _add_check,
        "host": _add_host,
        "status": _add_status,
        **dict.fromkeys(("pause", "resume", "shutdown", "reset"), _add_commands),
        "console": _add_console,
        "verify": _add_verify,
        "pod": _add_pod,
        "schema": _add_schema,
        "node-label": _add_node_label,
    }
    wanted = by_name.get(arguments[0]) if arguments else None
    return tuple(dict.fromkeys(by_name.values())) if wanted is None else (wanted,)


def _add_verb(verbs: Verbs[argparse.ArgumentParser], name: str, summary: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        formatter_class=partial(argparse.HelpFormatter, width=_HELP_WIDTH),
        allow_abbrev=False,
    )
    verb.set_defaults(verb_function=_load(f"launcher.cli.{name.replace('-', '_')}"))
    return verb


def _load(module: str) -> Callable[[argparse.Namespace], ExitStatus]:
    """Return a function that imports the verb's module only when the verb runs: start-up time counts."""

    def run_verb(options: argparse.Namespace) -> ExitStatus:
        status: ExitStatus = importlib.import_module(module).run(options)
        return status

    return run_verb


def _add_vmi(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "vmi", metavar="VMI", type=_named, help="a VirtualMachineInstance or VirtualMachine in YAML or JSON; - is stdin"
    )
    _add_setting(verb, "--name", metavar="NAME", help="which machine, where VMI holds several: NAME or NAMESPACE/NAME")
    _add_setting(
        verb, "--instancetype", metavar="FILE",
        help="holds the instancetype that the machine names; its only one, where the machine names none",
    )  # fmt: skip
    _add_setting(
        verb, "--preference", metavar="FILE",
        help="holds the preference that the machine names; its only one, where the machine names none",
    )  # fmt: skip


def _add_run(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "run", "start the guest, prove its pinning, and watch over it until it ends")
    _add_vmi(verb)
    _add_machine(verb)
    _add_setting(verb, "--connect", metavar="URI", help="a libvirt connection instead of the embedded driver")
    _add_setting(
        verb,
        "--drift",
        default="repair",
        choices=("repair", "report", "fail", "off"),
        help="what to do about a thread that no longer runs where it was planned (%(default)s)",
    )
    _add_setting(
        verb,
        "--exclusive-cpus",
        default="warn",
        choices=("require", "warn"),
        help="what to do where others may use the cpuset's CPUs: refuse to start, or say so (%(default)s)",
    )
    _add_setting(
        verb,
        "--kubelet-state",
        default="/var/lib/kubelet/cpu_manager_state",
        metavar="FILE",
        help="the kubelet's CPU manager state, evidence that CPUs are exclusive, where it can be read (%(default)s)",
    )
    _add_setting(
        verb, "--settle-timeout", default="10", type=_seconds, metavar="SECONDS",
        help="how long to wait for a cpuset into which the guest fits (%(default)s)",
    )  # fmt: skip
    _add_setting(
        verb, "--grace-period", type=_seconds, metavar="SECONDS",
        help="time from the request to shut down to the end by force (the VMI's, else 30)",
    )  # fmt: skip
    _add_setting(
        verb, "--log-format", default="auto", choices=("auto", "text", "json"),
        help="log lines for people or for programs; auto: text on a terminal (%(default)s)",
    )  # fmt: skip
    _add_setting(
        verb, "--cache", metavar="DIR",
        help="a folder of what libvirt learnt of QEMU elsewhere, nobody's but root's or this user's: it is copied",
    )  # fmt: skip
    _add_setting(
        verb, "--listen", metavar="HOST:PORT",
        help="serve /livez, /readyz, /metrics and /status here; :PORT is every address, port 0 any free port",
    )  # fmt: skip
    _add_control(verb)
    verb.add_argument(
        "--verbose", action="store_true", default=_switch(verb, "VERBOSE"), help="log every event and decision"
    )


def _add_status(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "status", "show what a running launcher says of its guest")
    _add_launcher(verb)
    verb.add_argument("--format", default="text", choices=("text", "json"), help="(%(default)s)")
    verb.add_argument("--watch", action="store_true", help="go on showing it, with who waits and who disturbs")


def _add_commands(verbs: Verbs[argparse.ArgumentParser]) -> None:
    for name, summary in (
        ("pause", "make the guest's CPUs stand still"),
        ("resume", "let a paused guest's CPUs run again"),
        ("shutdown", "ask the guest to shut down, as SIGTERM to the launcher does"),
        ("reset", "reset the guest, as its reset button would"),
    ):
        _add_launcher(_add_verb(verbs, name, summary))


def _add_console(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "console", "attach to the guest's serial console; Ctrl-] leaves")
    _add_setting(verb, "--root", metavar="DIR", help="the root folder of the launcher that runs the guest")
    verb.add_argument(
        "--socket", metavar="SOCKET", type=_named, help="the console's unix socket (run/serial0.sock below the root)"
    )


def _add_verify(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "verify", "compare plan, configuration and kernel, thread by thread")
    verb.add_argument(
        "domain",
        metavar="DOMAIN",
        nargs="?",
        type=_named,
        help="libvirt's name of it; the launcher's own guest if left out",
    )
    _add_setting(
        verb, "--connect", metavar="URI", help="the libvirt connection that has the domain, also another tool's"
    )
    _add_launcher(verb)


def _add_launcher(verb: argparse.ArgumentParser) -> None:
    _add_setting(verb, "--root", metavar="DIR", help="the root folder of the running launcher")
    _add_control(verb)


def _add_control(verb: argparse.ArgumentParser) -> None:
    _add_setting(verb, "--control", metavar="SOCKET", help="the control socket (run/control.sock below the root)")


def _add_plan(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "plan", "show which host CPU every thread would get")
    _add_vmi(verb)
    _add_host_options(verb)
    verb.add_argument("--format", default="text", choices=("text", "json", "svg"), help="(%(default)s)")
    verb.add_argument("--explain", action="store_true", help="say for each thread which rule decided")


def _add_render(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "render", "print the domain XML, or the QEMU command line")
    _add_vmi(verb)
    _add_host_options(verb)
    _add_machine(verb)
    verb.add_argument("--format", default="xml", choices=("xml", "argv"), help="(%(default)s)")
    verb.add_argument(
        "--explain", action="store_true", help="say before each line that is KubeVirt's default which rule it is from"
    )


def _add_check(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "check", "list every fault of the VMI; say whether it fits on a node that is described")
    _add_vmi(verb)
    _add_host_options(verb)


def _add_host(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "host", "show what is seen of this machine: cpuset, topology, NUMA, huge pages, quotas")
    verb.add_argument("--host", metavar="FILE|SHAPE", type=_named, help="show a captured or synthetic host instead")
    verb.add_argument(
        "--advice", action="store_true", help="say what will hurt guests' CPUs here, each with its cure, a line each"
    )
    verb.add_argument(
        "--capture", metavar="FILE", type=_named, help="write what was read to a file (- is stdout), for --host"
    )
    verb.add_argument("--format", default="text", choices=("text", "json"), help="(%(default)s)")


def _add_pod(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "pod", "print the launcher's Pod and its ConfigMap, ready for kubectl apply")
    _add_vmi(verb)
    _add_setting(
        verb,
        "--image",
        default=f"localhost/virt-launcher:{__version__}",
        metavar="IMAGE",
        help="the launcher's (%(default)s)",
    )
    _add_setting(
        verb, "--kvm-resource", default="devices.kubevirt.io/kvm", metavar="NAME",
        help="the device plugin's resource that brings /dev/kvm (%(default)s)",
    )  # fmt: skip
    verb.add_argument(
        "--virt-type",
        default="kvm",
        choices=("kvm", "qemu"),
        help="qemu: without the KVM device, emulated (%(default)s)",
    )
    verb.add_argument(
        "--cpu-allocation-ratio", default=10, type=int, metavar="N",
        help="vCPUs that share a CPU where they are not dedicated and the VMI requests none (%(default)s)",
    )  # fmt: skip
    _add_setting(
        verb, "--cache-folder", metavar="DIR",
        help="a folder of the node, root's and read-only for Pods, of what libvirt learnt of QEMU (run's --cache)",
    )  # fmt: skip
    verb.add_argument(
        "--block-volume", action="append", default=[], metavar="NAME",
        help="this volume's claim is a block device (volumeMode Block); may be given again",
    )  # fmt: skip
    verb.add_argument(
        "--image-volumes", action="store_true",
        help="let the kubelet mount container disks (Kubernetes 1.33), instead of sidecars that copy them",
    )  # fmt: skip
    _add_setting(
        verb, "--layer-size", default="10Gi", metavar="SIZE",
        help="what a guest may write over a container disk or a layered claim, and an image may be (%(default)s)",
    )  # fmt: skip
    verb.add_argument(
        "--shared-cpus", action="store_true",
        help="the node's CRI-O gives a container shared CPUs beside its own, on which an isolated emulator runs",
    )  # fmt: skip
    verb.add_argument(
        "--runtime", choices=("crio", "containerd"),
        help="the nodes' container runtime: its annotations that make dedicated CPUs quiet are added",
    )  # fmt: skip
    _add_setting(
        verb, "--runtime-class", metavar="NAME", help="the Pod's RuntimeClass, such as CRI-O needs for --runtime crio"
    )
    _add_setting(
        verb, "--seccomp-profile", metavar="FILE",
        help="a seccomp profile of the nodes, below the kubelet's folder of them, instead of the runtime's default",
    )  # fmt: skip
    verb.add_argument(
        "--explain", action="store_true",
        help="say as comments how CPU, memory and disk add up, and what the Pod Security Standards refuse",
    )  # fmt: skip
    _add_host_options(verb)


def _add_schema(verbs: Verbs[argparse.ArgumentParser]) -> None:
    _add_verb(verbs, "schema", "print the JSON Schema of the manifests that are supported, for editors and checks")


def _add_node_label(verbs: Verbs[argparse.ArgumentParser]) -> None:
    verb = _add_verb(verbs, "node-label", "say whether this node hands out whole CPUs: cpumanager=true or false")
    _add_setting(
        verb, "--state-file", default="/var/lib/kubelet/cpu_manager_state", metavar="FILE",
        help="the kubelet's CPU manager state (%(default)s)",
    )  # fmt: skip
    _add_setting(
        verb, "--kubelet-config", default="/var/lib/kubelet/config.yaml", metavar="FILE",
        help="the kubelet's configuration, looked at by --explain (%(default)s)",
    )  # fmt: skip
    verb.add_argument("--explain", action="store_true", help="say why, and what to do where it is false")
    verb.add_argument("--apply", action="store_true", help="set the label, as the service account of this Pod")
    verb.add_argument("--node", metavar="NAME", type=_named, help="the node to label (NODE_NAME in the environment)")
    _add_setting(
        verb, "--service-account", default="/var/run/secrets/kubernetes.io/serviceaccount", metavar="DIR",
        help="the folder with token and ca.crt for --apply (%(default)s)",
    )  # fmt: skip
    verb.add_argument(
        "--every", type=_interval, metavar="SECONDS", help="with --apply: go on, and set it again so often"
    )


def _add_host_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--host", metavar="FILE|SHAPE", type=_named, help="a captured host, or a shape such as 'node:2 core:4 pu:2'"
    )
    verb.add_argument("--cpuset", metavar="LIST", help="plan over these CPUs, a cpulist such as 0-3,8")
    verb.add_argument(
        "--kubelet",
        metavar="OPTIONS",
        help="plan over what the kubelet would give: full-pcpus-only,reserved=0-1,version=1.36",
    )
    verb.add_argument(
        "--kubelet-state",
        metavar="FILE",
        type=_named,
        help="with --kubelet or alone: the node's cpu_manager_state, which says what is in use there",
    )


def _add_machine(verb: argparse.ArgumentParser) -> None:
    _add_setting(verb, "--root", metavar="DIR", help="the folder of the embedded driver, sockets and logs")
    _add_setting(
        verb, "--virt-type", default="auto", choices=("auto", "kvm", "qemu"),
        help="hardware virtualisation or emulation; auto: kvm where /dev/kvm can be opened (%(default)s)",
    )  # fmt: skip
    _add_setting(
        verb, "--template", metavar="FILE", help="the site's domain XML, instead of the one that comes with this"
    )
    _add_setting(
        verb, "--volumes", metavar="DIR",
        help="the folder below which the Pod's volumes are mounted (vmi-disks, container-disks, secret, ...), "
        "instead of where KubeVirt mounts them",
    )  # fmt: skip


def _switch(verb: argparse.ArgumentParser, name: str) -> bool:
    """Return what the environment says of an option without a value: 1 or 0."""
    value = os.environ.get(f"VIRT_LAUNCHER_{name}", "")
    if value not in ("", "0", "1"):
        verb.error(f"VIRT_LAUNCHER_{name}: {value!r} is none of 0, 1")
    return value == "1"


def _named(text: str) -> str:
    """Take a name of any kind; one that a script left empty would mean the current folder, or libvirt's own choice."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def _add_setting(
    verb: argparse.ArgumentParser,
    option: str,
    *,
    help: str,  # noqa: A002 - argparse's own word
    default: str | None = None,
    choices: tuple[str, ...] | None = None,
    metavar: str | None = None,
    type: Callable[[str], object] = _named,  # noqa: A002 - argparse's own word
) -> None:
    """Add an option whose default comes from the environment where that names it."""
    variable = "VIRT_LAUNCHER_" + option.removeprefix("--").replace("-", "_").upper()
    value = os.environ.get(variable) or default
    if choices is not None and value not in choices:
        verb.error(f"{variable}: {value!r} is none of {', '.join(choices)}")
    try:
        if value is not None:
            # argparse would do so, too, and name the option.
            type(value)
    except argparse.ArgumentTypeError as error:
        verb.error(f"{variable}: {error}")
    verb.add_argument(option, default=value, choices=choices, metavar=metavar, type=type, help=help)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, zero or more")
    return value


def _interval(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than a second")
    if value > _YEAR_S:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a year")
    return value

"""The domain template: a site's plain domain XML, checked for the paths that the launcher owns."""

from __future__ import annotations

from lxml import etree

from launcher.domain.channels import AGENT_PORT
from launcher.domain.names import PLAN_NAMESPACE
from launcher.domain.xml import Element, parser
from launcher.errors import TemplateError

# What the launcher writes itself; a template that sets one of these would be overruled or would overrule the manifest.
OWNED_PATHS = (
    "@type",
    "name",
    "uuid",
    f"metadata/{{{PLAN_NAMESPACE}}}plan",
    "memory",
    "currentMemory",
    "maxMemory",
    "memoryBacking",
    "vcpu",
    "vcpus",
    "iothreads",
    "iothreadids",
    "cputune",
    "numatune",
    "os",
    "cpu",
    "devices/disk",
    "devices/serial",
    "devices/console",
    "devices/interface",
    f"devices/channel/target[@name='{AGENT_PORT}']",
    "devices/input",
    "devices/tpm",
    "devices/graphics",
    "devices/video",
    "devices/sound",
    "devices/audio",
    "devices/watchdog",
    "devices/vsock",
    "devices/hostdev",
    "sysinfo/system/entry[@name='serial']",
    "sysinfo/chassis",
)


def parse_template(text: bytes, source: str) -> Element:
    """Parse a template and return its root element, `domain`.

    Raises TemplateError with file, line and path where it is not well-formed XML, carries a DOCTYPE (which could pull
    in other files), has another root, or sets a path that the launcher owns.
    """
    root = _parse(text, source)
    if root.getroottree().docinfo.internalDTD is not None:
        raise TemplateError(f"{source}: line 1: a DOCTYPE is not allowed in a domain template; delete it")
    if root.tag != "domain":
        raise TemplateError(f"{source}: line {root.sourceline}: found <{root.tag}> at the top, wanted <domain>")
    for path in OWNED_PATHS:
        _refuse_owned(root, path, source)
    return root


def _parse(text: bytes, source: str) -> Element:
    try:
        return etree.fromstring(text, parser())
    except etree.XMLSyntaxError as error:
        raise TemplateError(f"{source}: line {error.lineno}: not well-formed XML: {error.msg}") from error


def _refuse_owned(root: Element, path: str, source: str) -> None:
    if path.startswith("@"):
        line = root.sourceline if root.get(path[1:]) is not None else None
    else:
        found = root.find(path)
        line = None if found is None else found.sourceline
    if line is not None:
        shown = f"/domain/{path}".replace(f"{{{PLAN_NAMESPACE}}}", "")
        raise TemplateError(f"{source}: line {line}: {shown} is written by the launcher; delete it from the template")

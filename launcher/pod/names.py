"""Names of Kubernetes objects made from a guest's: DNS labels of at most 63 bytes, each guest's its own."""

from __future__ import annotations

from hashlib import sha256

# RFC 1123 labels: a Pod's name becomes its host's name, and a label's value may be no longer either.
MOST_BYTES = 63
_DIGEST = 8


def bounded_name(*parts: str) -> str:
    """Join DNS labels with "-"; what is too long is cut and ends in a digest of the whole, so that names stay apart."""
    name = "-".join(parts)
    if len(name) <= MOST_BYTES:
        return name
    digest = sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: MOST_BYTES - _DIGEST - 1].rstrip('-')}-{digest}"

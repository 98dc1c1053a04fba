"""What goes wrong while an image is made."""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be made; the message says what to change."""

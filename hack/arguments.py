"""What several of the scripts take on their command lines."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Read a whole number from 1 up, as a type for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)

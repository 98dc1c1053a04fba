"""The names of what is made below the launcher's root for one life of one guest."""

from __future__ import annotations

# The folder of its images.
IMAGES_FOLDER = "storage"

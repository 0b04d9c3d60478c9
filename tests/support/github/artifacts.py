"""Artifacts of GitHub's blob store: zips, and the routes of a server that has them."""

from __future__ import annotations

import io
import zipfile

from tests.support.web import Reply


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def blobs(*contents: bytes) -> dict[str, Reply]:
    """Return the blob store's routes."""
    return {f"/blob{number}": Reply(body=content) for number, content in enumerate(contents)}

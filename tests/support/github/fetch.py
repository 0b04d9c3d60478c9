"""Fetches GitHub's OpenAPI description, of a pinned version with a pinned hash, into `.cache/`.

https://www.npmjs.com/package/@octokit/openapi
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

from tests.support.paths import ROOT

VERSION = "23.0.2"
URL = f"https://registry.npmjs.org/@octokit/openapi/-/openapi-{VERSION}.tgz"
SHA512 = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
MEMBER = "package/generated/api.github.com.json"
PATH = ROOT / ".cache" / "openapi" / VERSION / "api.github.com.json"


def fetched() -> Path:
    """Return the description, fetched where it is not there yet.

    Raise ValueError for another content than the pinned one.
    """
    PATH.parent.mkdir(parents=True, exist_ok=True)
    with open(PATH.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not PATH.exists():
            _fetch()
    return PATH


def _fetch() -> None:
    with urllib.request.urlopen(URL, timeout=120) as answer:
        package = answer.read()
    found = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if found != SHA512:
        raise ValueError(f"{URL} has the hash {found}, expected {SHA512}")
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None
        made = PATH.with_suffix(".part")
        made.write_bytes(member.read())
        made.replace(PATH)


if __name__ == "__main__":
    print(fetched())

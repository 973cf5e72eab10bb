"""An authority of one's own, and the certificates of servers that it vouches for."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def authority(folder: Path) -> tuple[trustme.CA, str]:
    made = trustme.CA()
    path = folder / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return made, str(path)


def certificate(made: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert(*names).configure_cert(context)
    return context

"""Which requests go through a proxy, as the environment says."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from pytest_lmmeval.models.endpoints.addresses import is_this_machine
from pytest_lmmeval.models.endpoints.failures import AttemptError

_SPOKEN = ("http", "https")


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy that the environment names for ``url``.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` mean what they mean to curl,
    in either case. What this machine serves is never asked for through a proxy.

    Raises:
        AttemptError: It is none that is spoken here.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host):
        return None
    # Deferred, here and below: a whole HTTP client comes with it.
    from urllib.request import getproxies

    if _is_excluded(host, parts.port):
        return None
    known = getproxies()
    proxy = known.get(parts.scheme) or known.get("all")
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    named = urlsplit(proxy)
    if named.scheme not in _SPOKEN:
        words = (
            f"the proxy that the environment names is {named.scheme}://…, not http:// or https://"
        )
        raise AttemptError("connection", words, retry=False)
    return proxy


def _is_excluded(host: str, port: int | None) -> bool:
    """Whether ``NO_PROXY`` has the host: its name or a domain of it, with its port or none."""
    from urllib.request import getproxies_environment, proxy_bypass

    if proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return True
    listed = getproxies_environment().get("no", "").split(",")
    return any(_is_of_network(host, entry.strip()) for entry in listed if "/" in entry)


def _is_of_network(host: str, network: str) -> bool:
    """Whether a number is in a network such as ``10.0.0.0/8``."""
    with suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    return False

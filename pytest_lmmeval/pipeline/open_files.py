"""Room for the connections of many requests at once among the files that a process may open."""

from __future__ import annotations

from contextlib import suppress

# Of everything else: modules, data sets, the journal, what pytest and the user's tests open.
_OTHERS = 256


def make_room(connections: int) -> None:
    """Raise the limit of open files, which is 256 or 1024 on many systems, as far as is needed.

    What the system allows nobody to exceed stays; then requests fail, and say so.

    Args:
        connections: How many there may be at once.
    """
    try:
        # Deferred: Windows has no such module, and no such limit.
        import resource
    except ImportError:
        return
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return
    if highest != resource.RLIM_INFINITY:
        wanted = min(wanted, highest)
    with suppress(ValueError, OSError):  # some systems have a limit of their own below that
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))

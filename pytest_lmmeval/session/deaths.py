"""How workers come to know that one of them died: from then on they look before they ask.

What a dead worker was answered is in the journal, and whoever measures its docs need not ask again.
Looking there costs a tenth of a short request, so no worker does before it has a reason to. It is
told over a channel of execnet, on which news are in time: a part of the dead worker that is given
to another one is sent to it later, and by the same way.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_lmmeval.pipeline.journal.siblings import Siblings

_KEY = "lmm_deaths"
_CHANNELS = pytest.StashKey[dict[str, Any]]()


def connect(node: Any) -> None:
    """Give a worker that is about to start a channel. Called on the controller."""
    channel = node.gateway.newchannel()
    node.config.stash.setdefault(_CHANNELS, {})[node.gateway.id] = channel
    node.workerinput[_KEY] = channel


def tell_others(node: Any) -> None:
    """Tell the workers that are left that one has died. Called on the controller."""
    channels = node.config.stash.setdefault(_CHANNELS, {})
    channels.pop(node.gateway.id, None)
    for channel in channels.values():
        with suppress(OSError):  # it is gone, too
            channel.send(None)


def listen(config: pytest.Config, siblings: Siblings) -> None:
    """In a worker, note what is told of the others."""
    given = getattr(config, "workerinput", None)
    if given is not None:
        siblings.some_died = given["lmm_replaces"]
        given[_KEY].setcallback(partial(_note, siblings))


def _note(siblings: Siblings, _: None) -> None:
    siblings.some_died = True

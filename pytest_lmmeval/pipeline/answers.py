"""Where a request's answer comes from: an identical request, the journal, or the model."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_lmmeval.pipeline.docs import Docs
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.shards import Request
from pytest_lmmeval.pipeline.sharing import SharedAnswers
from pytest_lmmeval.pipeline.work import Work
from pytest_lmmeval.records import Response


class Answers:
    """Finds answers that are known, and passes on those that come.

    Args:
        work: Where requests go that waited for one that failed.
        docs: Where answers go.
        journal: Finds and keeps answers.
        progress: Counts tokens.
    """

    def __init__(self, work: Work, docs: Docs, journal: Journal, progress: Progress) -> None:
        self._work = work
        self._docs = docs
        self._journal = journal
        self._progress = progress
        self._shared = SharedAnswers()

    def must_ask(self, request: Request) -> bool:
        """Whether a request has to be sent: its shard goes on, and its answer is nowhere yet."""
        if request.run.is_over:
            return False
        known = self._shared.find(request)
        if known is not None:
            self._docs.answered(request, known)
        if known is not None or self._shared.follow(request):
            return False
        kept = self._journal.find(request)
        if kept is not None:
            self._pass_on(request, kept)
        return kept is None

    async def take(self, requests: Sequence[Request], responses: Sequence[Response]) -> None:
        """Take in what a model said; returns once the answers are on disk and count."""
        for response in responses:
            self._progress.tokens += response.usage.get("completion_tokens", 0)
        await self._journal.keep(requests, responses)
        for request, response in zip(requests, responses, strict=True):
            self._pass_on(request, response)

    def _pass_on(self, request: Request, response: Response) -> None:
        self._docs.answered(request, response)
        for waiting in self._shared.settle(request, response):
            known = self._shared.find(waiting)
            if known is not None:
                self._docs.answered(waiting, known)
            else:
                self._work.ask_again(waiting)

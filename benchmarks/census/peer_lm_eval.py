"""lm-eval's side of the census: its own requests for the same rows.

Run with the interpreter that has lm-eval:
``python -m census.peer_lm_eval FOLDER SHOTS``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from census.exchange import media, read_splits, request
from census.protocol import serve
from census.sandbox import confine

DOCS = 2
# What a task file says about itself and not about its docs.
_STRUCTURE = ("tag", "group", "task_list", "custom_dataset")


def main() -> None:
    """Serve the parent."""
    import datasets
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    class CensusTask(ConfigurableTask):  # type: ignore[misc]  # the peer ships no types
        """A task whose data are the rows of the census."""

        rows: Any = None

        def download(self, dataset_kwargs: Any = None, **kwargs: Any) -> None:
            self.dataset = self.rows

    def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            config = load_yaml(asked["path"])
            kept = {key: value for key, value in config.items() if key not in _STRUCTURE}
            if num_fewshot is not None and kept.get("num_fewshot") != 0:
                kept["num_fewshot"] = num_fewshot
            CensusTask.rows = read_splits(Path(asked["data"]))
            task = CensusTask(config=kept)
            task.set_fewshot_seed(1234)
            task.build_all_requests(limit=DOCS, rank=0, world_size=1)
            return {"requests": [_request(instance, task) for instance in task.instances]}
        # A task of the peer's may fail in any way, and it is reported.
        except (Exception, SystemExit) as error:
            return {"failed": f"{type(error).__name__}: {error}"[:500]}

    num_fewshot = None if sys.argv[2] == "-" else int(sys.argv[2])
    datasets.disable_progress_bars()
    confine(Path(sys.argv[1]))
    serve(answer)


def _request(instance: Any, task: Any) -> dict[str, Any]:
    kind = instance.request_type
    prompt, *rest = instance.args
    extra = rest.pop() if rest and isinstance(rest[-1], dict) and "visual" in rest[-1] else None
    if extra is not None:
        pictures = extra["visual"] or []
        pictures = pictures if isinstance(pictures, list) else [pictures]
        if prompt.count("<image>") != len(pictures):
            prompt = "<image>" * len(pictures) + prompt
        prompt = [prompt, *map(media, pictures)]
    second = rest[0] if rest else ""
    return request(
        kind,
        prompt,
        continuation=second if isinstance(second, str) else "",
        gen_kwargs=second if isinstance(second, dict) else {},
        repeats=task.config.repeats,
    )


if __name__ == "__main__":
    main()

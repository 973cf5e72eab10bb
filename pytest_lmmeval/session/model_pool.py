"""The models of a process, made when the first part needs them, and the servers behind them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.pipeline.serving import Servers
from pytest_lmmeval.plans.task_plans import ModelPlan, run_model

# Stands for a server that is not launched, because nothing is asked.
_NOWHERE = {"base_url": "http://127.0.0.1", "model": "none"}
NO_MODEL = "no model under test: give --lmm-model and --lmm-model-args"


@dataclass(frozen=True, slots=True)
class Worker:
    """An xdist worker's place in the run.

    Attributes:
        place: Its number, from 0; that of the dead worker for one that replaces it.
        count: How many workers there are.
        writes_samples: Whether the controller writes samples, which a worker elsewhere need not do.
    """

    place: int
    count: int
    writes_samples: bool

    @classmethod
    def of(cls, workerinput: Mapping[str, Any] | None) -> Worker | None:
        """Read what xdist tells its workers; None in any other process."""
        if workerinput is None:
            return None
        told = ("lmm_place", "workercount", "lmm_writes_samples")
        return cls(*(workerinput[name] for name in told))


@dataclass
class ModelPool:
    """The models of this process, one per plan, made on first use.

    Attributes:
        config: The run's settings, for the model that the command line names.
        worker: This process's place under xdist.
        run_id: The same in all processes of the run, and not to be guessed.
    """

    config: RunConfig
    worker: Worker | None
    run_id: str
    _models: dict[str, LM] = field(default_factory=dict, repr=False)

    def default(self) -> LM:
        """Return the model that the command line or ini names; skip the test if none is named."""
        plan = run_model(self.config)
        if plan is None:
            pytest.skip(NO_MODEL)
        return self.get(plan)

    def get(self, plan: ModelPlan) -> LM:
        """Return the model of a plan, launching its server if it names one.

        Raises:
            UsageError: No such model or argument.
            ModelUnavailable: The server could not be launched.
        """
        if plan.key not in self._models:
            self._models[plan.key] = self._make(plan)
        return self._models[plan.key]

    def _make(self, plan: ModelPlan) -> LM:
        # Deferred: collecting needs no models.
        from pytest_lmmeval.models.registry import create_model

        args = dict(plan.args)
        launched: dict[str, str] = {}
        if plan.server is not None and not {"base_url", "host"} & set(args):
            launched = _NOWHERE if self.config.replay else self._launch(plan.server)
        device = plan.device
        if device is not None and "{worker}" in device:
            device = device.format(worker=self.worker.place if self.worker else 0)
        model = create_model(
            plan.name,
            args | launched,
            batch_size=plan.batch_size,
            max_batch_size=plan.max_batch_size,
            device=device,
            chat_template=plan.chat_template,
        )
        # What the server calls itself is known only while there is one.
        made_from = model.made_from or {}
        model.made_from = {k: v for k, v in made_from.items() if k not in launched}
        return model

    def _launch(self, server: Mapping[str, Any]) -> dict[str, str]:
        """Return where a suite's server is, launching it unless another process of the run has."""
        info = self.servers.launch(server)
        return {"base_url": info.base_url} | ({"model": info.model} if info.model else {})

    @property
    def servers(self) -> Servers:
        """The servers of the run, which end with the process that owns it."""
        return Servers(self.run_id, os.getpid() if self.worker is None else os.getppid())

    def stop_servers(self) -> None:
        """Stop what this run launched. For the process that owns the run."""
        if self.worker is None:
            self.servers.stop()

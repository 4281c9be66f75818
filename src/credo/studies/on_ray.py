"""The cells of a study on a Ray cluster: one task a cell, runs in a folder that all nodes share.

A task that dies with its node is started again by Ray on another one, waits until the dead node's lease is stale, and
goes on from the run's newest checkpoint. Ray is the extra ``[ray]`` and imported here alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from credo.studies.cores import claim_cores
from credo.studies.execute import POLL, Ended, Train, by_run, run_cell
from credo.studies.store import DONE, FAILED, RUNNING, Placed, Store
from credo.types import CredoError

RETRIES = 5
"""Starts of a task after the first, where its node or process died."""


def run_on_ray(
    store: Store,
    placed: Sequence[Placed],
    train: Train,
    address: str | None = None,
    cores: int = 1,
    gpus: float = 0.0,
    tell: Callable[[Placed, Ended], None] = lambda placed, ended: None,
) -> dict[str, Ended]:
    """Run all cells on a cluster and return how each run ended, by its identity; each is told of once.

    Args:
        store: its root must be the same folder on every node.
        placed: the cells.
        train: of a module, since nodes import it by name.
        address: of a running cluster ("auto": the one of this machine); None: start Ray on this machine alone, without
            its dashboard and with a token of its own.
        cores: that each task asks for and is bound to.
        gpus: that each task asks for; a share lets several use one.
        tell: called as each run ends.
    """
    if address is None:
        # Whoever else is on this machine must not give orders to it.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    check_ray()
    # Ray would otherwise tell its makers of every use.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = importlib.import_module("ray")
    started = not ray.is_initialized()
    if started:
        options: dict[str, Any] = {"include_dashboard": False} if address is None else {}
        ray.init(address=address, log_to_driver=False, **options)
    try:
        task = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=RETRIES, max_calls=1)(_task)
        todo = by_run(placed)
        waiting = {task.remote(store, cells, train, cores): run for run, cells in todo.items()}
        ended: dict[str, Ended] = {}
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            for reference in ready:
                run = waiting.pop(reference)
                try:
                    how = Ended(*ray.get(reference))
                except ray.exceptions.RayError as error:
                    how = Ended(FAILED, f"Ray: {str(error).strip().splitlines()[0]}")
                ended[run] = how
                tell(todo[run][0], how)
        return ended
    finally:
        if started:
            ray.shutdown()


def _task(store: Store, cells: Sequence[Placed], train: Train, cores: int) -> tuple[str, str]:
    """Run the cells of one run, one after the other."""
    claim_cores(cores)
    for placed in cells:
        while True:
            how = run_cell(store, placed, train)
            if how.state != RUNNING:
                break
            time.sleep(POLL)
        if how.state != DONE:
            break
    return how.state, how.about


def check_ray() -> None:
    """CredoError where Ray is not installed. It is not imported: as it is, it reads how it is to be started."""
    if importlib.util.find_spec("ray") is None:
        raise CredoError("on: ray is not installed; pip install ray")

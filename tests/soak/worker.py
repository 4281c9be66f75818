"""A process that trains, forked from one that has imported everything (and in which no JAX has started)."""

import os
import signal
import threading
from pathlib import Path

import jax

import conftest  # noqa: F401 (JAX as strict as in the tests)
from credo.config import RunConfig, from_dict, to_dict
from credo.environments import environment_spec, make_environment
from credo.training.checkpoint import Checkpoints
from training.stored_seeds import OPERATIONS, fail_at
from training.training_runs import SMALL, demonstrations, run


def small(**changes):
    """Small settings; those of a learner by its name, as a dict."""
    tree = to_dict(SMALL)
    for name, value in changes.items():
        tree[name] = tree[name] | value if isinstance(value, dict) else value
    return from_dict(tree)


def data_for(config: RunConfig):
    environment = make_environment(config.environment)
    spec = environment_spec(environment, config.environment)
    environment.close()
    return demonstrations(spec.observation_size, spec.action_size)


def main(tell, folder, config, kill_after_round=None, kill_after_seconds=None, kill_at_operation=None, since=None):
    """Train in ``folder`` with ``config``, changes of the small settings by name; exit status 0 where it is done.

    Kills itself after a round, or some seconds after this process or (``since="training"``) its first round began, or
    before the file operation of a number in the folder, of all or (``since="save"``) of those inside saves of
    checkpoints. ``tell``: a connection that gets the number of each round that is done, and "save" before a kill
    inside a save.
    """
    config, folder = small(**config), Path(folder)
    jax.config.update("jax_compilation_cache_dir", os.environ["CREDO_SOAK_CACHE"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    saving = threading.Event()
    save = Checkpoints.save

    def watched(*arguments):
        saving.set()
        save(*arguments)
        saving.clear()

    def kill():
        if saving.is_set():
            tell.send("save")
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_later():
        timer = threading.Timer(kill_after_seconds, kill)
        timer.daemon = True
        timer.start()

    Checkpoints.save = watched
    if kill_at_operation is not None:
        counts = saving.is_set if since == "save" else lambda: True
        fail_at(folder, kill_at_operation, kill, OPERATIONS, counts)
    if kill_after_seconds is not None and since is None:
        kill_later()

    def on_round(progress):
        tell.send(progress.round)
        if progress.round == kill_after_round:
            kill()
        if since == "training" and progress.round == progress.first_round + 1:
            kill_later()

    if run(folder, config, data=data_for(config), on_round=on_round) != "done":
        raise SystemExit(3)

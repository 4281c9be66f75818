"""A process that trains: ``python -m soak.worker SETTINGS`` with a JSON object of

folder: the run folder. config: changes of the small settings, by name. kill_after_round, kill_after_seconds (from the
first round on), kill_at_operation (a file operation in the checkpoints): where it kills itself, if anywhere.

Prints the number of each round that is done.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import jax

import conftest  # noqa: F401 (JAX as strict as in the tests)
from credo.config import RunConfig, from_dict, to_dict
from credo.environments import environment_spec, make_environment
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
    return demonstrations(spec.observation_size, spec.action_size) if config.adversarial else None


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def main(settings):
    jax.config.update("jax_compilation_cache_dir", os.environ["CREDO_SOAK_CACHE"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    config, folder = small(**settings["config"]), Path(settings["folder"])
    if "kill_at_operation" in settings:
        fail_at(folder / "checkpoints", settings["kill_at_operation"], kill, OPERATIONS)

    def on_round(progress):
        print(progress.round, flush=True)
        if progress.round == settings.get("kill_after_round"):
            kill()
        if "kill_after_seconds" in settings and progress.round == progress.first_round + 1:
            timer = threading.Timer(settings["kill_after_seconds"], kill)
            timer.daemon = True
            timer.start()

    return run(folder, config, data=data_for(config), on_round=on_round)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])) != "done")

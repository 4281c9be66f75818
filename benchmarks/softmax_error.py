"""The error of SD3's softmax target for few noise samples, on critics from real training.

Usage: python -m benchmarks.softmax_error [--steps 5000] [--out results/learners]. About five CPU minutes.

SD3 is trained three times for ``--steps`` steps: on the environment's own reward on Hopper and HalfCheetah, and by GAIL
on Hopper. Then the value of replayed next states, which a critic's target is made of, is computed with few samples of
each kind, many times over, and set beside the value with 10,000 independent samples.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.serving import ROOT
from credo import RunConfig, api
from credo.config import SD3Config
from credo.demonstrations import load_demonstrations
from credo.learners.sd3 import beta_of, make_noise, softmax_target_value
from credo.presets import EXPERT, preset
from credo.training.watching import Watcher

SAMPLES = (2, 4, 8, 16, 50)
KINDS = ("independent", "antithetic", "sobol")
STATES, REPEATS, REFERENCE, CHUNK = 128, 32, 10_000, 2
SPREAD_SAMPLES = 500
SETTINGS = SD3Config(noise_samples=8)
"""Training itself takes 8 samples, to be quick; what is measured is one target on the critics that it leaves."""
COLUMNS = ("critics", "beta", "value_spread", "kind", "samples", "error", "bias", "error_share")


def cases(steps: int) -> dict[str, RunConfig]:
    """Name to the settings of a short training."""
    rewarded = dataclasses.replace(EXPERT, learner="sd3", sd3=SETTINGS, steps=steps, random_steps=1_000)
    common = {"seeds": 1, "evaluation_interval": 10**9, "evaluation_episodes": 1, "checkpoint_interval": 10**9}
    imitating = dataclasses.replace(preset("fast"), learner="sd3", sd3=SETTINGS, steps=steps)
    return {
        "Hopper-v5, environment's reward": dataclasses.replace(rewarded, environment="Hopper-v5", **common),
        "HalfCheetah-v5, environment's reward": dataclasses.replace(rewarded, environment="HalfCheetah-v5", **common),
        "Hopper-v5, GAIL (preset fast)": dataclasses.replace(imitating, **common),
    }


def trained(config: RunConfig) -> tuple[Any, np.ndarray]:
    """The learner's state after a training, and replayed next observations as its networks see them, [STATES, O]."""
    kept: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        watcher = Watcher(progress=lambda progress: kept.append(progress.seeds[0]))
        api.imitate(dataclasses.replace(config, execution="threads"), out=Path(folder) / "run", watcher=watcher)
    seed = kept[-1]
    observation = seed.replay.sample(np.random.default_rng(0), (STATES,)).next_observation
    if config.adversarial and config.normalise_observations:
        data = load_demonstrations(config.demonstrations)
        mean, std = data.statistics()
        observation = (observation - mean) / std
    return seed.state.learner, observation


def measure(name: str, config: RunConfig) -> list[dict[str, Any]]:
    """Rows of errors on the critics of one training."""
    state, observation = trained(config)
    beta = beta_of(config.environment)
    settings = dataclasses.replace(SETTINGS, beta=beta)
    action_size = state.actors[0][-1].bias.shape[0]

    def values(observation: Any, normal: Any) -> Any:
        return softmax_target_value(state.target_actors[0], state.target_critics, observation, normal, settings)

    def reference(observation: Any, key: Any) -> tuple[Any, Any]:
        normal = jax.random.normal(key, (len(observation), REFERENCE, action_size))
        few = normal[:, :SPREAD_SAMPLES]
        one_by_one = jnp.repeat(observation, SPREAD_SAMPLES, axis=0)
        each = values(one_by_one, few.reshape(-1, 1, action_size)).reshape(len(observation), SPREAD_SAMPLES)
        return values(observation, normal), jnp.std(each, axis=1)

    compiled = jax.jit(reference)
    chunks = [
        compiled(observation[start : start + CHUNK], jax.random.fold_in(jax.random.key(1), start))
        for start in range(0, STATES, CHUNK)
    ]
    exact, spread = (np.concatenate([np.asarray(chunk[part]) for chunk in chunks]) for part in (0, 1))
    typical = float(np.sqrt(np.mean(spread**2)))
    rows = []
    for kind in KINDS:
        for samples in SAMPLES:
            draw = make_noise(kind, samples, action_size)
            once = jax.jit(lambda key, draw=draw: values(observation, draw(key, STATES)))
            found = np.stack([np.asarray(once(key)) for key in jax.random.split(jax.random.key(2), REPEATS)])
            difference = found - exact
            error = float(np.sqrt(np.mean(difference**2)))
            bias = float(np.mean(difference))
            numbers = (name, beta, typical, kind, samples, error, bias, error / typical)
            rows.append(dict(zip(COLUMNS, numbers, strict=True)))
    return rows


def markdown(rows: list[dict[str, Any]], command: str) -> str:
    """One table for each training."""
    lines = [
        "# Error of SD3's softmax target",
        "",
        f"`{command}`: {STATES} replayed next states, {REPEATS} drawings each, against {REFERENCE:,} independent",
        "samples. Root mean squared error, as a share of the standard deviation of the value over the noisy actions.",
        "",
    ]
    for name in dict.fromkeys(row["critics"] for row in rows):
        mine = [row for row in rows if row["critics"] == name]
        about = f"beta {mine[0]['beta']:g}, standard deviation over the noisy actions {mine[0]['value_spread']:.3g}"
        lines += [
            f"## {name} ({about})",
            "",
            "| samples | " + " | ".join(KINDS) + " |",
            "|---" * (1 + len(KINDS)) + "|",
        ]
        for samples in SAMPLES:
            shares = [r["error_share"] for kind in KINDS for r in mine if (r["kind"], r["samples"]) == (kind, samples)]
            lines.append(f"| {samples} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.softmax_error", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5_000, help="environment steps of each training (default 5000)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "learners", help="folder of the results")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, config in cases(chosen.steps).items():
        print(name, flush=True)
        rows += measure(name, config)
        write(rows, chosen.out, f"python -m benchmarks.softmax_error --steps {chosen.steps}")


def write(rows: list[dict[str, Any]], folder: Path, command: str) -> None:
    """What has been measured so far, as softmax-error.csv and .md."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "softmax-error.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    (folder / "softmax-error.md").write_text(markdown(rows, command))
    print(markdown(rows, command), flush=True)


if __name__ == "__main__":
    main()

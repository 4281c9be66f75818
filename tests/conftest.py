"""JAX as strict as it goes: on the CPU, in float32, with no implicit promotion of types or ranks."""

import os

# As variables, so that the processes that tests start are told the same. The programs of the tests are small: compiling
# them thoroughly takes longer than running them, and without optimisations XLA's newer way to fuse takes twice as long.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"

import jax
import optax.tree_utils
import pytest

jax.config.update("jax_enable_x64", False)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

_bias_correction = optax.tree_utils.tree_bias_correction


def _lenient_bias_correction(*arguments, **options):
    # Optax raises a float to an integer count here, the one place of what is used that strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        return _bias_correction(*arguments, **options)


optax.tree_utils.tree_bias_correction = _lenient_bias_correction
if hasattr(optax, "tree"):  # which newer versions call it by
    optax.tree.bias_correction = _lenient_bias_correction


_LONGEST = (
    *("training/test_resume.py", "test_examples.py", "studies/test_stability_scripts.py", "cli/test_cli.py"),
    *("training/test_frozen_seeds.py", "training/test_clone.py", "discriminator/test_regularisers.py"),
)
"""Files that take long begin first: one that began last would leave the other cores idle."""


def pytest_collection_modifyitems(items):
    rank = {f"tests/{name}": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("::")[0], len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory):
    """Programs compiled by one test serve the others, those of other workers too: most of the time of a short run is
    compilation. A limit of size brings the lock with which processes may share them."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    for name, value in (
        ("compilation_cache_dir", str(place)),
        ("compilation_cache_max_size", 4 << 30),
        ("persistent_cache_min_compile_time_secs", 0.1),
        ("persistent_cache_min_entry_size_bytes", 0),
    ):
        jax.config.update(f"jax_{name}", value)
        os.environ[f"JAX_{name.upper()}"] = str(value)


@pytest.fixture
def forgotten_plugins():
    """What a test registers is gone after it."""
    from credo.config.names import REGISTERED
    from credo.discriminator.regularisers import REGULARISERS
    from credo.discriminator.rewards import REWARDS
    from credo.learners import LEARNERS

    tables = {"reward": REWARDS, "regulariser": REGULARISERS, "learner": LEARNERS}
    before = {kind: dict(entries) for kind, entries in REGISTERED.items()}, {k: dict(t) for k, t in tables.items()}
    yield
    for now, then in ((REGISTERED, before[0]), (tables, before[1])):
        for kind, entries in now.items():
            entries.clear()
            entries.update(then[kind])


@pytest.fixture
def in_float64():
    """A function that lets JAX compute in float64 until the test is over, as others' processes may."""
    yield lambda: jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_x64", False)

"""JAX as strict as it goes: on the CPU, in float32, with no implicit promotion of types or ranks."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import optax.tree_utils
import pytest

jax.config.update("jax_enable_x64", False)
# The programs of the tests are small: compiling them thoroughly takes longer than running them.
jax.config.update("jax_disable_most_optimizations", True)
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


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory):
    """Programs compiled by one test serve the others: most of the time of a short run is compilation."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

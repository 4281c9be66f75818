"""The grid's own Jacobian against central differences and JAX; the printed one where it should hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from theory_problems import occupancy_jacobian, occupancy_of, random_problem

from credo.theory import policies, theorem
from credo.theory.discriminators import js_divergence
from credo.theory.findings_limits import printed_jacobian_error
from reference.paper_matrices import occupancy_jacobian_as_printed

seeds = st.integers(0, 2**31 - 1)
shapes = st.sampled_from([(2, 9, 1), (4, 7, 1), (3, 4, 2), (2, 3, 3)])
discounts = st.sampled_from([0.0, 0.5, 0.95])


def coefficient_jacobian(problem, form="grid"):
    """d rho / d coefficients [S*M, S*A] from the structured form."""
    score = theorem.occupancy_score(problem.mdp, problem.policy, form)
    by_value = occupancy_jacobian(score)
    states, grid, _, dimensions = by_value.shape
    return np.einsum("tmsj,si->tmij", by_value, problem.policy.gram).reshape(states * grid, states * dimensions)


def central_differences(function, point, step=2e-5):
    """Fourth-order central differences of an array function of an array: [output, input]."""
    columns = []
    for index in range(point.size):
        direction = np.zeros(point.size)
        direction[index] = step
        direction = direction.reshape(point.shape)
        f = [function(point + k * direction) for k in (-2, -1, 1, 2)]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]).ravel() / (12 * step))
    return np.stack(columns, axis=1)


ROUNDING = 1e-10
"""What the rounding of occupancies of at most 1 leaves in a difference over 2e-5, with room to spare."""


@settings(max_examples=15, deadline=None, database=None)
@given(seeds, shapes, discounts)
@example(6674543, (2, 9, 1), 0.0)  # a policy so sure of one action that the whole Jacobian is 4e-16
def test_grid_jacobian_matches_central_differences(seed, shape, discount):
    problem = random_problem(seed, *shape, discount=discount)
    exact = coefficient_jacobian(problem)
    measured = central_differences(lambda c: np.exp(occupancy_of(problem, c).log_pair), problem.policy.coefficients)
    assert np.linalg.norm(exact - measured) <= 1e-6 * np.linalg.norm(exact) + ROUNDING


def jax_occupancy(coefficients, transition, start, discount, actions, gram, precision):
    """rho as a JAX function of the coefficients, written from the definitions."""
    difference = actions[None] - (gram @ coefficients)[:, None]
    pi = jax.nn.softmax(-0.5 * jnp.einsum("smi,ij,smj->sm", difference, precision, difference), axis=1)
    kernel = jnp.einsum("sm,smt->st", pi, transition)
    state = (1 - discount) * jnp.linalg.solve(jnp.eye(len(start)) - discount * kernel.T, start)
    return state[:, None] * pi


def jax_divergence(coefficients, expert, *rest):
    rho = jax_occupancy(coefficients, *rest)
    middle = 0.5 * (rho + expert)
    return 0.5 * jnp.sum(rho * jnp.log(rho / middle)) + 0.5 * jnp.sum(expert * jnp.log(expert / middle))


# Compiled once, whatever the example: all are of one shape.
jax_derivatives = jax.jit(
    lambda coefficients, expert, *rest: (
        jax.jacfwd(jax_occupancy)(coefficients, *rest),
        jax.value_and_grad(jax_divergence)(coefficients, expert, *rest),
    )
)


@settings(max_examples=10, deadline=None, database=None)
@given(seeds, discounts)
def test_grid_jacobian_and_exact_gradient_match_jax(seed, discount):
    problem = random_problem(seed, 3, 3, dimensions=2, discount=discount)
    mdp, policy = problem.mdp, problem.policy
    with jax.enable_x64(True):
        jacobian, (value, gradient) = jax_derivatives(
            policy.coefficients,
            np.exp(problem.expert.log_pair),
            mdp.transition,
            mdp.start,
            mdp.discount,
            mdp.actions,
            policy.gram,
            np.linalg.inv(policy.covariance),
        )
        assert jacobian.dtype == jnp.float64
        jacobian, value, gradient = np.asarray(jacobian), float(value), np.asarray(gradient)
    exact = coefficient_jacobian(problem)
    jacobian = jacobian.reshape(exact.shape)
    assert np.linalg.norm(exact - jacobian) <= 1e-6 * np.linalg.norm(jacobian)
    score = theorem.occupancy_score(mdp, policy)
    found = policy.gram @ theorem.exact_gradient(score, problem.expert)
    assert np.linalg.norm(found - gradient) <= 1e-6 * np.linalg.norm(gradient)
    assert js_divergence(problem.expert, score.occupancy) == pytest.approx(value, rel=1e-9)


@settings(max_examples=10, deadline=None, database=None)
@given(seeds, shapes)
def test_structured_form_equals_the_matrices_of_the_paper(seed, shape):
    problem = random_problem(seed, *shape)
    for form in ("grid", "printed"):
        structured = coefficient_jacobian(problem, form)
        literal = occupancy_jacobian_as_printed(problem.mdp, problem.policy, form)
        # Rows of the paper's matrix: (centre, dimension); columns: (state, action).
        np.testing.assert_allclose(literal.T, structured, atol=1e-11)


def test_printed_jacobian_is_not_the_grids_derivative_near_the_edge():
    problem = random_problem(5, deviation=0.6)
    exact, printed = coefficient_jacobian(problem), coefficient_jacobian(problem, "printed")
    assert np.linalg.norm(exact - printed) > 0.01 * np.linalg.norm(exact)


def test_printed_jacobian_holds_where_the_grid_resolves_the_gaussian_and_only_there():
    ratios = np.array([0.5, 1.0, 2.0])
    rows = printed_jacobian_error(0, ratios, np.array([1.0, 8.0, np.inf]))
    error = {(r["sigma_in_spacings"], r["edge_in_sigmas"]): r["relative_error"] for r in rows}
    assert error[(2.0, np.inf)] < 1e-10
    assert error[(1.0, np.inf)] < 1e-6
    assert error[(0.5, np.inf)] > 1e-3
    assert error[(2.0, 8.0)] < 1e-8
    assert error[(2.0, 1.0)] > 0.1


def test_log_density_is_the_gaussian_density():
    from scipy import stats

    problem = random_problem(3, 3, 4, 2)
    found = policies.log_density(problem.policy, problem.mdp.actions)
    for state, mean in enumerate(problem.policy.means):
        expected = stats.multivariate_normal(mean, problem.policy.covariance).logpdf(problem.mdp.actions)
        np.testing.assert_allclose(found[state], expected, rtol=1e-11)

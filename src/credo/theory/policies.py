"""Gaussian policies in a reproducing kernel Hilbert space, on an action grid (Eq. 6).

The mean is h(s) = sum_i k(s_i, s) a_i with one centre per state (fewer centres: set their a_i to zero), so
h = K a for the Gram matrix K [S, S] and coefficients a [S, A].

A derivative with respect to h is a function of the same space, sum_s k(s, .) g_s; it is carried as g [S, A], the
derivative with respect to each *value* h(s). Its two norms, both used by this package and always named:

- ``rkhs``: sqrt(tr(g^T K g)), the norm of the function, the one the paper's space carries;
- ``coefficients``: ||K g||, the Euclidean norm of the derivative with respect to the coefficients a.

They differ by at most the square roots of K's extreme eigenvalues, so they share every growth exponent.
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
from scipy import linalg, special

from credo.types import CredoError

Form = Literal["grid", "printed"]
Norm = Literal["rkhs", "coefficients"]
MEAN_TOLERANCE = 1e-9
"""Largest error of a mean, in action units: 200 times below the finest grid spacing that ``credo theory`` takes."""


class GaussianPolicy(NamedTuple):
    """Build with :func:`make_policy` or :func:`policy_with_means`, which check it."""

    coefficients: np.ndarray
    """[S, A]."""
    gram: np.ndarray
    """[S, S] kernel matrix k(s_i, s_j)."""
    covariance: np.ndarray
    """[A, A] symmetric positive definite, in squared action units."""

    @property
    def means(self) -> np.ndarray:
        """[S, A]: h(s) at every state."""
        return self.gram @ self.coefficients


def gaussian_gram(coordinates: np.ndarray, bandwidth: float) -> np.ndarray:
    """Gram matrix of k(x, y) = exp(-||x - y||^2 / (2 bandwidth^2)) at ``coordinates`` [S, K] -> [S, S]."""
    if not (np.isfinite(bandwidth) and bandwidth > 0):
        raise CredoError(f"bandwidth is {bandwidth}; it must be positive and finite")
    if not np.all(np.isfinite(coordinates)):
        raise CredoError("coordinates has an entry that is not finite; numbers are needed")
    squared = np.sum((coordinates[:, None, :] - coordinates[None, :, :]) ** 2, axis=-1)
    return np.exp(-0.5 * squared / bandwidth**2)


def check_covariance(covariance: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor [A, A]; CredoError if not square, symmetric and positive definite."""
    covariance = np.asarray(covariance, dtype=np.float64)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise CredoError(f"covariance has shape {covariance.shape}; a square matrix [A, A] is needed")
    if not np.all(np.isfinite(covariance)) or not np.allclose(covariance, covariance.T, rtol=1e-10, atol=0):
        raise CredoError("covariance is not a finite symmetric matrix; it must be positive definite")
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(covariance)[0]
        raise CredoError(
            f"covariance is not positive definite (smallest eigenvalue {smallest:.3g}); "
            "a deterministic policy is only its limit"
        ) from None


def make_policy(coefficients: np.ndarray, gram: np.ndarray, covariance: np.ndarray) -> GaussianPolicy:
    """Check and build a policy from RKHS coefficients [S, A], a Gram matrix [S, S] and a covariance [A, A]."""
    coefficients = np.asarray(coefficients, dtype=np.float64)
    gram = np.asarray(gram, dtype=np.float64)
    covariance = np.asarray(covariance, dtype=np.float64)
    check_covariance(covariance)
    states = gram.shape[0]
    if gram.shape != (states, states) or coefficients.shape != (states, covariance.shape[0]):
        raise CredoError(
            f"gram {gram.shape}, coefficients {coefficients.shape} and covariance {covariance.shape} do not fit: "
            "[S, S], [S, A], [A, A] are needed"
        )
    for name, values in (("coefficients", coefficients), ("gram", gram)):
        if not np.all(np.isfinite(values)):
            raise CredoError(f"{name} has an entry that is not finite; numbers are needed")
    smallest = np.linalg.eigvalsh(gram)[0]
    if not np.allclose(gram, gram.T) or smallest < -1e-10:
        raise CredoError(f"gram is not a kernel matrix: smallest eigenvalue {smallest:.3g}, symmetry needed too")
    return GaussianPolicy(coefficients, gram, covariance)


def policy_with_means(means: np.ndarray, gram: np.ndarray, covariance: np.ndarray) -> GaussianPolicy:
    """The policy of this kernel whose mean at each state is ``means`` [S, A], to MEAN_TOLERANCE; CredoError where the
    Gram matrix is too near singular for that."""
    means = np.asarray(means, dtype=np.float64)
    if not np.all(np.isfinite(means)):
        raise CredoError("means has an entry that is not finite; numbers are needed")
    if not np.all(np.isfinite(gram)):
        raise CredoError("gram has an entry that is not finite; numbers are needed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", linalg.LinAlgWarning)  # what comes of it is looked at below
        try:
            coefficients = linalg.solve(gram, means, assume_a="pos")
        except linalg.LinAlgError:
            raise CredoError("gram is singular: no coefficients give these means; use distinct states") from None
    policy = make_policy(coefficients, gram, covariance)
    error = float(np.max(np.abs(policy.means - means)))
    if not error <= MEAN_TOLERANCE:
        raise CredoError(
            f"gram is near-singular: the coefficients found give means that are off by {error:.1g}, more than "
            f"{MEAN_TOLERANCE:g}; use fewer states, or states further apart"
        )
    return policy


def log_density(policy: GaussianPolicy, actions: np.ndarray) -> np.ndarray:
    """log N(a; h(s), Sigma) of the continuous policy (Eq. 6), actions [M, A] -> [S, M]."""
    factor = check_covariance(policy.covariance)
    difference = actions[None, :, :] - policy.means[:, None, :]
    whitened = linalg.solve_triangular(factor, difference.reshape(-1, actions.shape[1]).T, lower=True)
    quadratic = np.sum(whitened**2, axis=0).reshape(difference.shape[:2])
    log_determinant = 2.0 * np.sum(np.log(np.diag(factor)))
    return -0.5 * (quadratic + log_determinant + actions.shape[1] * np.log(2.0 * np.pi))


def log_grid_policy(policy: GaussianPolicy, actions: np.ndarray) -> np.ndarray:
    """log pi(a|s) on the grid, each row normalised to sum 1: [S, M]."""
    density = log_density(policy, actions)
    return density - special.logsumexp(density, axis=1, keepdims=True)


def policy_score(policy: GaussianPolicy, actions: np.ndarray, form: Form = "grid") -> np.ndarray:
    """d log pi(a|s) / d h(s), [S, M, A].

    ``printed``: Sigma^-1 (a - h(s)), the score of the continuous density (Eq. 19).
    ``grid``: Sigma^-1 (a - E_pi[a|s]), the score of the row-normalised grid policy. Only this one is the derivative
    of a probability on the grid; the two agree while the grid resolves the Gaussian and its range holds it.
    """
    if form == "printed":
        centre = policy.means
    elif form == "grid":
        centre = np.exp(log_grid_policy(policy, actions)) @ actions
    else:
        raise CredoError(f"form is {form!r}; 'grid' or 'printed' is needed")
    difference = actions[None, :, :] - centre[:, None, :]
    solved = linalg.solve(policy.covariance, difference.reshape(-1, actions.shape[1]).T, assume_a="pos")
    return np.ascontiguousarray(solved.T.reshape(difference.shape))


def norm_matrix(gram: np.ndarray, norm: Norm) -> np.ndarray:
    """Q [S, S] with ||g||^2 = sum_j g_j^T Q g_j: K for ``rkhs``, K K for ``coefficients``."""
    if norm == "rkhs":
        return gram
    if norm == "coefficients":
        return gram @ gram
    raise CredoError(f"norm is {norm!r}; 'rkhs' or 'coefficients' is needed")


def gradient_norm(gradient: np.ndarray, gram: np.ndarray, norm: Norm = "rkhs") -> float:
    """Norm of a derivative g [S, A] with respect to the values h(s)."""
    quadratic = np.einsum("sj,st,tj->", gradient, norm_matrix(gram, norm), gradient)
    return float(np.sqrt(max(quadratic, 0.0)))

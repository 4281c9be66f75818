"""Errors that stop one seed, not the program: the training loop marks the seed that raised them."""

from __future__ import annotations


class NonFiniteActionError(ValueError):
    """A policy gave a NaN or infinite action; nothing was stepped (MuJoCo would accept it silently)."""


class NonFiniteEnvironmentError(RuntimeError):
    """An environment returned a NaN or infinite observation or reward.

    Attributes:
        environment_name: name of the environment.
        environment_index: which environment of the batch, from 0.
        what: "observation" or "reward".
    """

    def __init__(self, environment_name: str, environment_index: int, what: str) -> None:
        super().__init__(f"environment {environment_index} ({environment_name}) returned a non-finite {what}")
        self.environment_name = environment_name
        self.environment_index = environment_index
        self.what = what

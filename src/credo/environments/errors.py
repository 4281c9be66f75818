"""Errors that stop one seed, not the program: the training loop marks the seed that raised them."""

from __future__ import annotations

from typing import NamedTuple


class NonFiniteActionError(ValueError):
    """A policy gave a NaN or infinite action; nothing was stepped (MuJoCo would accept it silently)."""


class Place(NamedTuple):
    """Where an environment went wrong."""

    environment_name: str
    environment_index: int | None
    """Which environment of the batch, from 0; None where it is not known which."""
    run_seed: int | None
    """None outside a run."""
    episode: int
    step: int
    """Of the episode, from 1; 0 is the reset."""

    def __str__(self) -> str:
        which = "an environment" if self.environment_index is None else f"environment {self.environment_index}"
        seed = "" if self.run_seed is None else f" of seed {self.run_seed}"
        when = f"step {self.step} of episode {self.episode}" if self.step else f"the reset of episode {self.episode}"
        return f"{which} ({self.environment_name}){seed}, at {when}"


class EnvironmentFaultError(RuntimeError):
    """An environment did what none may; one line names environment, seed, episode and step.

    Attributes:
        place: where.
        what: "exception", "observation", "reward", "termination", "result", "hang" or "worker".
        complaint: what it did.
    """

    def __init__(self, place: Place, what: str, complaint: str) -> None:
        super().__init__(place, what, complaint)  # as arguments, so that it can travel between processes
        self.place = place
        self.what = what
        self.complaint = complaint

    def __str__(self) -> str:
        return f"{self.place}: {self.complaint}"


class NonFiniteEnvironmentError(EnvironmentFaultError):
    """An environment returned a NaN or infinite observation or reward; ``what`` says which."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(place, what, f"returned a non-finite {what}")
        self.args = (place, what)


class HungEnvironmentError(EnvironmentFaultError):
    """An environment in a worker process did not answer in time; the worker was ended."""


class LostEnvironmentError(EnvironmentFaultError):
    """The worker process of an environment died."""

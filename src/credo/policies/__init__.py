"""Trained policies as plain functions on NumPy arrays, their file, and ONNX in and out. Needs no JAX."""

from __future__ import annotations

from pathlib import Path

from credo.files import as_path
from credo.policies.fits import fitted_policy
from credo.policies.onnx import OnnxPolicy, load_onnx_policy, onnx_bytes
from credo.policies.policy import ACTIVATIONS, FORMAT, VERSION, Layer, NormalisedLayer, Policy, save_policy
from credo.policies.policy import load_policy as load_credo_policy

__all__ = [
    "ACTIVATIONS",
    "FORMAT",
    "VERSION",
    "Layer",
    "NormalisedLayer",
    "OnnxPolicy",
    "Policy",
    "fitted_policy",
    "load_credo_policy",
    "load_onnx_policy",
    "load_policy",
    "onnx_bytes",
    "save_policy",
]


def load_policy(path: str | Path) -> Policy:
    """Read a policy: a file that ``save_policy`` or ``credo export`` wrote, ``.onnx`` by its ending.

    CredoError, one line with file and field, for a file that is missing, truncated, damaged, of another
    format or newer version, or that holds wrong shapes, an unknown activation or non-finite weights. An ONNX file needs
    the extra ``onnx``.
    """
    path = as_path("policy", path)
    return load_onnx_policy(path) if path.suffix.lower() == ".onnx" else load_credo_policy(path)

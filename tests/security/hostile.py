"""Files from a stranger who means harm, made anew by every test that reads them."""

import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo import run_folder, run_rows
from credo.config import RunConfig
from credo.policies import Layer, Policy, save_policy

MODULE = "credo_hostile_module"
NAME = "[red]a[/red]\x1b[2J\x1b]0;owned\x07</title><script>alert(1)</script><!--<script>\u202e.png"
"""Rich markup, an ANSI escape, a terminal title, HTML, and a change of the direction of writing."""


def plant_module(folder):
    """A module that leaves a mark when it is imported; returns the mark's path."""
    mark = folder / "imported"
    (folder / f"{MODULE}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    return mark


def policy(environment="Pendulum-v1", metadata=None, size=3):
    layers = (Layer(np.zeros((size, 1), np.float32), np.zeros(1, np.float32)),)
    vectors = np.zeros(size), np.ones(size), np.full(1, -2.0), np.full(1, 2.0)
    return Policy(layers, "relu", *vectors, environment, metadata or {})


def run(folder, environment="Pendulum-v1", **stored):
    """A finished run of one seed; ``stored`` replaces entries of its config.json."""
    config = RunConfig(environment=environment, learner="sac", reward="environment", demonstrations="")
    run_folder.create(folder, config, {}, "credo imitate")
    tree = json.loads((folder / run_folder.CONFIG).read_text())
    (folder / run_folder.CONFIG).write_text(json.dumps(tree | stored))
    told = {"selected_badness": 1.0, "selected_return": 5.0, "final_return": 4.0, "selected_step": 64}
    (folder / run_folder.SUMMARY).write_text(json.dumps({"state": "done", "steps": 64, "seeds": {"0": told}}))
    row = {"seed": 0, "round": 0, "step": 64, "return_mean": 5.0, "actor_gradient_max": 0.1}
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        run_rows.write_part(folder, kind, 0, [row, row | {"step": 128}])
    path = run_folder.policy_path(folder, 0)
    path.parent.mkdir()
    save_policy(path, policy(environment))
    return folder


def safetensors(header, data=b"", length=None):
    """The bytes of a safetensors file with this header (text or JSON) and whatever length it claims."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


ABOUT = {"format": "credo-policy", "format_version": "1", "sha256": "0" * 64}
SAFETENSORS = {
    "a header longer than the file": safetensors({}, length=1 << 62),
    "a header of 2 GB": safetensors({}, length=1 << 31),
    "a header that is no JSON": safetensors(b"{'a': 1}"),
    "a header nested 50,000 deep": safetensors(b'{"a":' * 50_000),
    "a shape that needs an exabyte": safetensors({"__metadata__": ABOUT, "a": tensor([1 << 58], 0, 4)}, b"0000"),
    "a shape that overflows": safetensors({"__metadata__": ABOUT, "a": tensor([1 << 33, 1 << 33], 0, 4)}, b"0000"),
    "a negative shape": safetensors({"__metadata__": ABOUT, "a": tensor([-1], 0, 4)}, b"0000"),
    "offsets past the end": safetensors({"__metadata__": ABOUT, "a": tensor([2], 0, 8)}, b"0000"),
    "offsets that run back": safetensors({"__metadata__": ABOUT, "a": tensor([1], 4, 0)}, b"0000"),
    "tensors that overlap": safetensors(
        {"__metadata__": ABOUT, "a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)
    ),
    "a hole between tensors": safetensors(
        {"__metadata__": ABOUT, "a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)
    ),
    "a type that does not exist": safetensors({"__metadata__": ABOUT, "a": tensor([1], 0, 4, "PICKLE")}, b"0000"),
    "metadata that are no text": safetensors({"__metadata__": {"format": ["credo-policy"]}}),
    "no content and a false hash": safetensors({"__metadata__": ABOUT}),
    "a pickle": b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a zip, as PyTorch writes": b"PK\x03\x04" + bytes(200),
}

JSON = {
    "nested 100,000 deep": b'{"a":' * 100_000,
    "a number of 10,000 digits": b'{"format": ' + b"9" * 10_000 + b"}",
    "no UTF-8": b'{"format": "\xff\xfe"}',
    "a list": b"[]",
    "empty": b"",
    "a pickle": SAFETENSORS["a pickle"],
}

SETTINGS = {
    "a trillion seeds": {"seeds": 10**12},
    "seeds by exponent": {"seeds": 1e9},
    "a step count of 300 digits": {"steps": 10**300},
    "a step count of 4,000 digits": {"steps": 10**4000},
    "an infinite interval": {"evaluation_interval": float("inf")},
    "widths without end": {"td3": {"hidden": [10**9] * 3, "more": 1}},
    "a table for a number": {"steps": {"__reduce__": ["os.system", "true"]}},
    "a list for a table": {"credo": ["filter"]},
    "an unknown name": {"__class__": "os.system"},
}


def parquet(columns, rows=None):
    """Bytes of a Parquet part; ``rows`` repeats each column's one value by run-length encoding."""
    sink = pa.BufferOutputStream()
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if rows is not None:
        table = pa.table({name: pa.repeat(values[0], rows) for name, values in columns.items()})
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def parts():
    good = {"seed": [0], "step": [64]}
    return {
        "more rows than memory": parquet(good, rows=6_000_000),
        "text for numbers": parquet(good | {"return_mean": ["<script>"]}),
        "text for seeds": parquet({"seed": ["0"], "step": [64]}),
        "lists for numbers": parquet(good | {"return_mean": [[1.0, 2.0]]}),
        "fractions of seeds": parquet({"seed": [0.5], "step": [64]}),
        "cut short": parquet(good)[:-9],
        "no Parquet": b"PAR1" + bytes(64) + b"PAR1",
    }

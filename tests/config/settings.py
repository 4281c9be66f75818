"""Settings that differ from the defaults, and what an error must look like."""

import dataclasses

from credo.config import RunConfig


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, text


def changed(**changes):
    """A run with changed settings; ``part__name`` reaches into a part."""
    config = RunConfig()
    for name, value in changes.items():
        part, _, inner = name.partition("__")
        value = dataclasses.replace(getattr(config, part), **{inner: value}) if inner else value
        config = dataclasses.replace(config, **{part: value})
    return config

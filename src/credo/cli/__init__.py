"""The command line: ``credo COMMAND``. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from credo.types import CredoError, printable

COMMANDS: dict[str, tuple[str, str]] = {
    "imitate": ("credo.cli.train:imitate", "train imitators of demonstrations, many seeds side by side"),
    "expert": (
        "credo.cli.train:expert",
        "train an expert from the environment's own reward, in the same loop",
    ),
    "resume": ("credo.cli.train:resume", "go on with a run by its folder alone, to more steps or seeds"),
    "experts": (
        "credo.cli.experts:experts",
        "list the shipped experts, with how they were trained and how good they are",
    ),
    "demos generate": ("credo.cli.demos:generate", "roll an expert out into a demonstrations file"),
    "demos inspect": (
        "credo.cli.demos:inspect",
        "say what a demonstrations file holds, and what is wrong with it",
    ),
    "demos convert": ("credo.cli.demos:convert", "write demonstrations in another format"),
    "demos merge": ("credo.cli.demos:merge", "join several sets of demonstrations into one"),
    "demos split": ("credo.cli.demos:split", "divide demonstrations by episode into two"),
    "demos subsample": ("credo.cli.demos:subsample", "keep a part of demonstrations"),
    "evaluate": ("credo.cli.runs:evaluate", "run a trained policy and report its returns"),
    "video": ("credo.cli.runs:video", "record a video of a trained policy"),
    "export": ("credo.cli.export:export", "write a trained policy as ONNX, or as a NumPy policy with its card"),
    "list": ("credo.cli.runs:list_runs", "list the runs in a folder, with state, returns and verdicts"),
    "report": ("credo.cli.report:report", "report on any set of runs: one page with verdicts and figures"),
    "presets": ("credo.cli.presets:presets", "print the presets side by side"),
    "study run": ("credo.cli.study:run", "run a study, or go on with it: methods x environments x seeds"),
    "study check": ("credo.cli.study_check:check", "try every cell of a study before it runs, without training"),
    "study status": ("credo.cli.study:status", "show how far the cells of a study are, and their verdicts so far"),
    "study report": ("credo.cli.study:report", "compute the tables of a study: rates, tests, samples, scores"),
    "study list": ("credo.cli.study:list_studies", "list the studies that come with Credo"),
    "study show": ("credo.cli.study:show", "print the file of a study, to make your own of"),
    "theory": (
        "credo.cli.theory:theory",
        "compute the paper's theory exactly: figures and a page of findings",
    ),
}


def usage() -> str:
    """The overview that ``credo --help`` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = [
        "usage: credo COMMAND [OPTIONS]",
        "",
        "Stable, sample-efficient adversarial imitation learning.",
        "",
        *(f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items()),
        "",
        "credo COMMAND --help lists a command's options with units and defaults.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exit status: 0 done, 1 a command that ran and failed, 2 wrong input (one line on stderr),
    130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    print_anything()
    try:
        try:
            _dispatch(words)
        finally:
            print(end="", flush=True)  # at exit nothing would handle a pipe that nobody reads
    except CredoError as error:
        print(printable(f"credo: {error}"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("credo: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except MemoryError:
        print("credo: there is not enough memory for what was asked", file=sys.stderr)
        sys.exit(2)
    except UnicodeEncodeError as error:  # a name of other bytes, for a library that knows text alone
        print(printable(f"credo: {error.object[:80]!r} cannot be written as {error.encoding}"), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(printable(f"credo: {where}{error.strerror or error}"), file=sys.stderr)
        sys.exit(2)


def print_anything() -> None:
    """Let the output show ``?`` for what its encoding lacks, where an error would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"credo {version('credo-imitation')}")
        return
    for size in (2, 1):
        name = " ".join(words[:size])
        if name in COMMANDS:
            module, function = COMMANDS[name][0].split(":")
            getattr(importlib.import_module(module), function)(words[size:])
            return
    import difflib

    group = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if group:
        if len(words) > 1 and words[1] in ("-h", "--help"):
            print("\n".join(f"credo {name:<18}{COMMANDS[name][1]}" for name in group))
            return
        raise CredoError(f"command: {' '.join(words[:2])!r} is not one of {', '.join(group)}")
    near = difflib.get_close_matches(words[0], COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
    raise CredoError(f"command: {words[0]!r} is not known; {hint}")

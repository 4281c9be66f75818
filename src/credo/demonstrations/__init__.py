"""Expert demonstrations: in memory, on disk, and rolled out of an expert."""

from credo.demonstrations.build import from_episodes, from_transitions
from credo.demonstrations.combine import merge
from credo.demonstrations.dataset import DemonstratedEpisode, Demonstrations, Split, Statistics
from credo.demonstrations.files import read_demonstrations, save_demonstrations
from credo.demonstrations.formats import FORMATS, ReadOptions, check_writable, read_file, write_file
from credo.demonstrations.generate import generate_demonstrations
from credo.demonstrations.inspect import Inspection, inspect, lines
from credo.demonstrations.load import load_demonstrations
from credo.demonstrations.stack import fitted, stack_frames
from credo.demonstrations.validate import check_fits, check_loggable

__all__ = [
    "FORMATS",
    "DemonstratedEpisode",
    "Demonstrations",
    "Inspection",
    "ReadOptions",
    "Split",
    "Statistics",
    "check_fits",
    "check_loggable",
    "check_writable",
    "fitted",
    "from_episodes",
    "from_transitions",
    "generate_demonstrations",
    "inspect",
    "lines",
    "load_demonstrations",
    "merge",
    "read_demonstrations",
    "read_file",
    "save_demonstrations",
    "stack_frames",
    "write_file",
]

"""Every format that demonstrations are read from and written to: one file each, told apart by their content."""

from credo.demonstrations.formats.recording import ReadOptions
from credo.demonstrations.formats.table import FORMATS, Format, check_writable, detect, read_file, write_file

__all__ = ["FORMATS", "Format", "ReadOptions", "check_writable", "detect", "read_file", "write_file"]

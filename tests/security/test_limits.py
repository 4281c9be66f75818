"""The sizes that SECURITY.md names, at their edges; large files are holes on disk."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from credo import run_folder, run_rows
from credo.files import read_json
from credo.storage import read_tensors
from credo.types import CredoError
from security import hostile


def test_json_of_more_than_64_mebibytes_is_not_read(tmp_path):
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CredoError, match="larger than 67,108,864 bytes"):
        read_json(tmp_path / "large.json")


@pytest.mark.parametrize(("beyond", "words"), [(1, "not a x file, or a truncated one"), (0, "not a readable x file")])
def test_a_header_of_more_than_a_mebibyte_is_not_parsed(beyond, words, tmp_path):
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        file.write(((1 << 20) + beyond).to_bytes(8, "little"))
        file.truncate(2 << 20)
    with pytest.raises(CredoError, match=words):
        read_tensors(path, format="x", version=1)


def part(folder, names):
    path = hostile.run(folder / "run") / run_folder.METRICS / "part-000001.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([0])] * len(names), names), path)
    return path


def test_a_part_has_at_most_1000_columns(tmp_path):
    names = ["seed", "step", *(f"column {number}" for number in range(999))]
    path = part(tmp_path, names)
    with pytest.raises(CredoError, match="1 rows of 1001 columns; not what Credo writes"):
        run_rows.read_part(path)
    pq.write_table(pq.read_table(path, columns=names[:-1]), path)
    assert len(run_rows.read_part(path)) == 1000


def test_a_part_has_no_two_columns_of_one_name(tmp_path):
    with pytest.raises(CredoError, match="has two columns of one name"):
        run_rows.read_part(part(tmp_path, ["seed", "step", "return_mean", "return_mean"]))

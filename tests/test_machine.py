"""What this machine has for a process."""

import pytest

from credo import machine

GIB = 2**30


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Writes what the system says: its files by path, beside 8 GiB that are free on the machine."""
    monkeypatch.setattr(machine, "_PROCESS", tmp_path / "proc")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")

    def write(**groups):
        told = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * GIB // 1024} kB\n"} | groups
        for name, text in told.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))

    return write


def test_without_a_limit_the_machines_free_memory_counts(files):
    files()
    assert machine.available_memory() == 8 * GIB
    unlimited = {"groups/a/memory.max": "max\n", "groups/a/memory.current": f"{GIB}\n"}
    files(**unlimited, **{"proc/self/cgroup": "0::/a\n"})
    assert machine.available_memory() == 8 * GIB


def test_a_containers_limit_counts(files):
    files(
        **{
            "proc/self/cgroup": "0::/a/b\n",
            "groups/a/memory.max": 4 * GIB,
            "groups/a/memory.current": 3 * GIB,
            "groups/a/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            "groups/a/b/memory.max": 6 * GIB,
            "groups/a/b/memory.current": 0,
        }
    )
    assert machine.available_memory() == 1.5 * GIB
    files(**{"groups/a/b/memory.current": 7 * GIB})
    assert machine.available_memory() == 0


def test_an_older_systems_limit_counts_where_the_path_is_the_one_outside(files):
    files(
        **{
            "proc/self/cgroup": "9:cpu:/x\n4:memory:/docker/0123\n0::/\n",
            "groups/memory/memory.limit_in_bytes": 2 * GIB,
            "groups/memory/memory.usage_in_bytes": GIB,
            "groups/memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 4}\n",
        }
    )
    assert machine.available_memory() == 1.25 * GIB

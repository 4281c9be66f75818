"""A study on a real cluster of several nodes, one of which is taken away in mid-run: every result arrives once.

Ray gives a node up whose helpers take more than 15 s to start: on a machine with much else to do this cannot be judged.
"""

import importlib.util
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra [ray]"),
]

STUDIES = Path(__file__).parents[1] / "studies"
STALE = 4.0
CELLS = 4


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A head without cores and two nodes of two cores each; token authentication on."""
    paths = os.pathsep.join([str(STUDIES), *(path for path in sys.path if path)])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.syspath_prepend(str(STUDIES))
    token = tmp_path / "token"
    token.write_text("a" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "60")
    # Ray reads them as it is imported.
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False} | ports())
    nodes = [made.add_node(num_cpus=2, **ports()) for _ in range(2)]
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def ports():
    """Free ports for a node's agents: one that it has to wait for gives a node up on a busy machine."""
    names = ("metrics_agent_port", "runtime_env_agent_port", "dashboard_agent_listen_port", "metrics_export_port")
    sockets = [socket.socket() for _ in names]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return found


def lines(store):
    path = store.root / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_a_node_removed_in_mid_run_costs_nothing_but_time(cluster, tmp_path):
    import study_worker

    from credo.studies.on_ray import run_on_ray
    from credo.studies.store import DONE, Store

    made, nodes = cluster
    store = Store(tmp_path / "shared", STALE)
    store.root.mkdir()
    cells = [study_worker.placed(f"c{number}") for number in range(CELLS)]
    told = []

    def remove():
        while sum(line[0] == "begin" for line in lines(store)) < CELLS:
            time.sleep(0.2)
        time.sleep(study_worker.SLOWLY / 4)
        made.remove_node(nodes[1], allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    ended = run_on_ray(
        store, cells, study_worker.slowly, address=made.address, tell=lambda p, how: told.append((p.run, how.state))
    )
    remover.join()

    assert sorted(told) == [(f"run-c{number}", DONE) for number in range(CELLS)]
    assert {how.state for how in ended.values()} == {DONE}
    finished = [line[1] for line in lines(store) if line[0] == "end"]
    assert sorted(finished) == [f"run-c{number}" for number in range(CELLS)]
    begun = [line for line in lines(store) if line[0] == "begin"]
    # Two cells were on the node that was taken away; they were begun again, from where they were.
    again = [line for line in begun if int(line[2]) > 0]
    assert len(begun) == CELLS + 2
    assert len(again) == 2

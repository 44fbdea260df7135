"""The benchmark's peers: what is pinned, the clock they share, and how they are printed."""

import re

import pytest

from benchmarks.__main__ import ratios, table
from benchmarks.peers import drive, run

RATE = "create+decide/s, 8 clients"


@pytest.mark.parametrize("peer", run.PEERS)
def test_requirements_are_exact(peer):
    lines = (run.BENCHMARKS / "peers" / f"{peer}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines), lines
    names = {line.partition("==")[0] for line in lines}
    assert {"django-viewflow" if peer == "viewflow" else peer, "psycopg-binary"} <= names


class Echo:
    """A peer that ends with what it is told to."""

    def __init__(self, result=drive.RESULT):
        self.result, self.names = result, []

    def start(self, name):
        self.names.append(name)
        return name

    def decide(self, started):
        assert started in self.names
        return self.result


def test_figures_stand_in_the_rows_of_ours():
    peer = Echo()
    figures = drive.measure(peer, rounds=2, seconds=0.05)
    assert figures[RATE] > 0
    assert {"decision → result p50 ms", "decide, 8 clients p99 ms"} <= set(figures)
    assert len(peer.names) == len(set(peer.names)) > drive.WARM_UP + 2


def test_a_wrong_result_is_no_figure():
    with pytest.raises(RuntimeError, match="must end with 'fine'"):
        drive.measure(Echo("WAITING"), rounds=1, seconds=0.01)


def test_one_table_and_the_ratios():
    decided = {"decision → result p50 ms": 2.0, "decision → result p99 ms": 4.0}
    parked = {f"decision → result, 100 parked p{n} ms": 6.0 for n in (50, 99)}
    results = {
        "postgres": {**decided, **parked, RATE: 300.0},
        "pair, uvicorn": {**decided, RATE: 400.0},
        "DBOS": {**decided, RATE: 120.0},
    }
    lines = table(results).splitlines()
    assert lines[0].split() == ["postgres", "pair,", "uvicorn", "DBOS"]
    assert [line.split()[-3:] for line in lines if line.startswith(RATE)] == [
        ["300.0", "400.0", "120.0"]
    ]
    said = ratios(results)
    assert "create+decide with 8 clients is 2.50 × DBOS (goal > 1)" in said
    assert not any("Viewflow" in line for line in said)


def test_what_is_not_installed_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "BENCHMARKS", tmp_path)
    said = []
    assert run.run("postgresql://nowhere", said.append, rounds=1, seconds=1, limit=1) == {}
    assert [line.split()[0] for line in said] == list(run.PEERS.values())
    assert all("is left out: `make benchmarks/.venv-" in line for line in said)

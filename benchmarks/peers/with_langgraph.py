"""LangGraph: a graph that interrupts itself, with its PostgreSQL saver on a connection pool.

Its own default durability: checkpoints are written beside the steps, all before `invoke` returns.
"""

from collections.abc import Callable
from typing import Any, TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from benchmarks.peers import drive


class State(TypedDict, total=False):
    result: str


def ask(state: State) -> State:
    return {"result": interrupt("May I?")}


class LangGraph:
    def __init__(self, saver: PostgresSaver) -> None:
        builder = StateGraph(State)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", END)
        self.graph = builder.compile(checkpointer=saver)

    def start(self, name: str) -> Any:
        config = {"configurable": {"thread_id": name}}
        self.graph.invoke({}, config)
        return config

    def decide(self, started: Any) -> str:
        command = Command(resume=drive.RESULT)
        return str(self.graph.invoke(command, started)["result"])


def connect(url: str) -> tuple[LangGraph, Callable[[], None]]:
    kwargs = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    size = 2 * drive.CLIENTS
    pool = ConnectionPool(url, min_size=size, max_size=size, kwargs=kwargs, open=True)
    saver = PostgresSaver(pool)
    saver.setup()
    return LangGraph(saver), pool.close


if __name__ == "__main__":
    drive.main(connect)

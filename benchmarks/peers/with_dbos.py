"""DBOS: a durable workflow that receives the decision as a message.

The workflow's own row is what makes its wait durable; no event tells that it waits, which spares
DBOS two statements. Its result comes through the handle in the process that started it.
"""

from collections.abc import Callable

from dbos import DBOS, SetWorkflowID, WorkflowHandle

from benchmarks.peers import drive


@DBOS.workflow()
def ask() -> str:
    return str(DBOS.recv("decision", timeout_seconds=60))


class Dbos:
    def start(self, name: str) -> WorkflowHandle[str]:
        with SetWorkflowID(name):
            return DBOS.start_workflow(ask)

    def decide(self, started: WorkflowHandle[str]) -> str:
        DBOS.send(started.workflow_id, drive.RESULT, "decision")
        return started.get_result()


def connect(url: str) -> tuple[Dbos, Callable[[], None]]:
    DBOS(config={"name": "yardstick", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    return Dbos(), DBOS.destroy


if __name__ == "__main__":
    drive.main(connect)

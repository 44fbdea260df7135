"""The flow that `with_viewflow` drives; Viewflow wants it in an installed application."""

from typing import Any

from django.views import View
from viewflow import this
from viewflow.workflow import flow, lock
from viewflow.workflow.models import Process


class Ask(flow.Flow):
    process_class = Process
    lock_impl = lock.select_for_update_lock

    start = flow.StartHandle(this.begin).Next(this.ask)
    ask = flow.View(View.as_view()).Next(this.keep)
    keep = flow.Function(this.result).Next(this.end)
    end = flow.End()

    def begin(self, activation: Any, name: str) -> Any:
        activation.process.data = {"name": name}
        return activation.process

    def result(self, activation: Any) -> None:
        process = activation.process
        process.data = {**process.data, "result": process.data["decision"]}
        process.save(update_fields=["data"])

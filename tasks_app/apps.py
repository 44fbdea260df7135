from django.apps import AppConfig


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Review"

    def ready(self) -> None:
        """Fill the hooks through which the parts below move tasks along."""
        from integrations_app.services.hooks import hooks
        from tasks_app.services.call_tasks import (
            open_outcome_question,
            refresh_waiting,
            reroute,
        )
        from tasks_app.services.closing import drop_with_runs, pending_in

        hooks.runs_ended = drop_with_runs
        hooks.operation_changed = refresh_waiting
        hooks.call_changed = reroute
        hooks.call_unknown = open_outcome_question
        hooks.has_open_tasks = pending_in

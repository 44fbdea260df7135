from django.apps import AppConfig


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Review"

    def ready(self) -> None:
        """Fill the hooks through which the parts below move tasks along."""
        from accounts_app.services.hooks import account_hooks
        from guard_app.services.hooks import guard_hooks
        from integrations_app.services.hooks import hooks
        from tasks_app.people_said import people_said
        from tasks_app.services.call_tasks import (
            open_outcome_question,
            refresh_waiting,
            reroute,
        )
        from tasks_app.services.closing import drop_with_runs, pending_in
        from tasks_app.services.leaving import look_at_routes, release_tasks_of
        from tasks_app.services.notifying import tell_of_incident
        from tasks_app.services.telling import drop_pending

        account_hooks.member_deactivated = release_tasks_of
        account_hooks.members_changed = look_at_routes
        hooks.runs_ended = drop_with_runs
        hooks.operation_changed = refresh_waiting
        hooks.call_changed = reroute
        hooks.call_unknown = open_outcome_question
        hooks.open_tasks = pending_in
        hooks.restored = drop_pending
        guard_hooks.incident_opened = tell_of_incident
        guard_hooks.people_said = people_said

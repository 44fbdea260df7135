from tasks_app.models.tasks import Decision, UserTask

__all__ = ["Decision", "UserTask"]

"""The back office's pages of this part; imported by the admin site."""

from tasks_app.admin import approvals, dashboard, run, sessions, task

__all__ = ["approvals", "dashboard", "run", "sessions", "task"]

"""The back office's pages of this part; imported by the admin site."""

from tasks_app.admin import (
    acts,
    approvals,
    bulk,
    dashboard,
    editing,
    guard,
    operations,
    run,
    sessions,
    task,
)

__all__ = [
    "acts",
    "approvals",
    "bulk",
    "dashboard",
    "editing",
    "guard",
    "operations",
    "run",
    "sessions",
    "task",
]

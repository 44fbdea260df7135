from tasks_app.models.messages import Message
from tasks_app.models.notifications import Notification, NotificationSettings
from tasks_app.models.presence import Presence
from tasks_app.models.reviewing import Comment, DraftRevision, Reviewer, Vote
from tasks_app.models.sweeps import SweepRun
from tasks_app.models.tallies import DecidedHour, DecidedMark
from tasks_app.models.tasks import Decision, UserTask

__all__ = [
    "Comment",
    "DecidedHour",
    "DecidedMark",
    "Decision",
    "DraftRevision",
    "Message",
    "Notification",
    "NotificationSettings",
    "Presence",
    "Reviewer",
    "SweepRun",
    "UserTask",
    "Vote",
]

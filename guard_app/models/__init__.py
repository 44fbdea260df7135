from guard_app.models.incidents import Incident, IncidentNote
from guard_app.models.learning import Baseline, LearningMark, Measure
from guard_app.models.replays import Replay, ReplayHit
from guard_app.models.rules import Detection, GuardRule, LateScreening

__all__ = [
    "Baseline",
    "Detection",
    "GuardRule",
    "Incident",
    "IncidentNote",
    "LateScreening",
    "LearningMark",
    "Measure",
    "Replay",
    "ReplayHit",
]

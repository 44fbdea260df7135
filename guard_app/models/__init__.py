from guard_app.models.rules import Detection, GuardRule

__all__ = ["Detection", "GuardRule"]

"""What a guard rule can do, from the mildest to the strictest."""

from django.db.models import TextChoices


class GuardEffect(TextChoices):
    ALLOW = "allow", "Allow"
    ALERT = "alert", "Alert"
    REVIEW = "review", "Pause for review"
    BLOCK = "block", "Block"
    TERMINATE_SESSION = "terminate_session", "Terminate the session"


STRICTNESS = {effect: rank for rank, effect in enumerate(GuardEffect)}


class Detector(TextChoices):
    REPEATED_CALL = "repeated_call", "The same call again and again"

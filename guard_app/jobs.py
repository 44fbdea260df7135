"""Background jobs of the guard: hints to look at rows, harmless however often they come."""

from uuid import UUID

from celery import shared_task

from guard_app.services import learning, replays


@shared_task(name="guard_app.replay", ignore_result=True)
def replay(replay_id: str) -> None:
    """Go through recorded calls with a draft rule."""
    replays.run_replay(UUID(replay_id))


@shared_task(name="guard_app.learn", ignore_result=True)
def learn() -> None:
    """Keep up what is usual."""
    learning.learn_all()

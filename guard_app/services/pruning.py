"""What replays found and has grown old goes; their numbers stay."""

import datetime as dt

from django.db.models import Exists, OuterRef

from accounts_app.clock import db_now
from guard_app.models import Replay, ReplayHit
from guard_app.states import ReplayStatus
from integrations_app.services.pruning import delete_in_batches


def prune_replays(before: dt.datetime) -> dict[str, int]:
    """Delete the calls behind the numbers of replays that ended before a moment.

    A replay is marked first, so that its page never leads to half of its calls. One that still
    runs, or waits for a worker, is left alone.
    """
    old = Replay.objects.filter(status=ReplayStatus.DONE, finished_at__lt=before)
    kept = Exists(ReplayHit.objects.filter(replay=OuterRef("pk")))
    old.filter(kept, hits_pruned_at__isnull=True).update(hits_pruned_at=db_now())
    rows = ReplayHit.objects.filter(replay__in=old.filter(hits_pruned_at__isnull=False))
    return {"replay_hits": delete_in_batches(lambda: rows)}

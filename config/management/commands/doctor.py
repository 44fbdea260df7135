import datetime as dt
import shutil
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from accounts_app.clock import db_now
from accounts_app.crypto import Unreadable
from accounts_app.models import Workspace
from config import health
from integrations_app.credentials import open_credential
from integrations_app.models import Integration

CLOCKS_APART = dt.timedelta(seconds=5)
LEAST_DISK_BYTES = 500 * 1024 * 1024
ADVICE = {
    "broker": "Start the broker, or set BROKER_URL. Calls run late until then, none is lost.",
    "scheduler": "Start the scheduler, or let cron run `manage.py sweep` every minute.",
    "deadlines": "Deadlines have passed that nothing has seen to: look at the sweeper's log.",
    "workers": "Calls wait that no worker takes: start or restart the worker (queue `calls`).",
}


class Command(BaseCommand):
    help = "Say in plain words what is wrong with this installation; ends with 1 if something is."

    def handle(self, *args: Any, **options: Any) -> str:
        found = [*_settings(), *_database()]
        if connection.connection is not None:
            found += [*_rows(), *_running()]
        if found:
            raise CommandError("\n".join(f"- {text}" for text in found))
        return "Nothing is wrong."


def _settings() -> Iterator[str]:
    for problem in run_checks():
        if problem.is_serious():
            yield f"{problem.msg} {problem.hint or ''}".strip()
    local = set(settings.ALLOWED_HOSTS) <= {"127.0.0.1", "localhost", "[::1]"}
    if settings.DEBUG and not local:
        yield "DEBUG is on while other machines can reach this one; set DEBUG=0."
    if not local and not settings.SESSION_COOKIE_SECURE:
        yield "ALLOWED_HOSTS names other machines without ASSENT_HTTPS=1: sign-ins are readable."
    if not local and not settings.ASSENT_URL:
        yield "Set ASSENT_URL to the address that people use; links are made from it."
    free = shutil.disk_usage(settings.ASSENT_HOME if settings.ASSENT_HOME.exists() else "/").free
    if free < LEAST_DISK_BYTES:
        yield f"Only {free // 1024**2} MiB are free on the disk of ASSENT_HOME."


def _database() -> Iterator[str]:
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        yield f"The database does not answer ({type(error).__name__}); look at DATABASE_URL."
        return
    if missing:
        yield f"{len(missing)} migrations are missing; run `manage.py migrate`."


def _rows() -> Iterator[str]:
    try:
        if not Workspace.objects.exists():
            yield "There is no workspace yet; make one, or start with ASSENT_DEMO=1."
        for integration in Integration.objects.all():
            try:
                open_credential(integration)
            except Unreadable:
                yield (
                    f"The credential of {integration.slug!r} opens with none of"
                    " ASSENT_ENCRYPTION_KEYS; add the key it was sealed with, or enter it anew."
                )
    except Error as error:
        yield f"The tables cannot be read ({type(error).__name__}); run `manage.py migrate`."


def _running() -> Iterator[str]:
    try:
        apart = abs(db_now() - dt.datetime.now(dt.UTC))
        for name, check in health.checks().items():
            if not check.ok:
                facts = ", ".join(f"{key} {value}" for key, value in check.facts.items())
                yield f"{name} ({facts}): {ADVICE.get(name, 'look at its log.')}"
        calls, figures = health.open_calls(), health.figures()
    except Error:
        return
    if apart > CLOCKS_APART:
        yield (
            f"This machine's clock and the database's are {apart.total_seconds():.0f} s apart."
            " Deadlines follow the database's; logs will not fit together."
        )
    if calls["unknown"]:
        yield f"{calls['unknown']} calls are unknown: a person must say whether they happened."
    if figures["calls_held"] or figures["deliveries_held"]:
        yield "Calls or deliveries are on hold after a restore; see `manage.py release_held`."
    if figures["deliveries_dead"]:
        yield f"{figures['deliveries_dead']:.0f} webhook deliveries were given up."
    if figures["notifications_failed"]:
        yield f"{figures['notifications_failed']:.0f} notifications were given up."

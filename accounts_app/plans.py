"""How PostgreSQL plans a statement that is prepared."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def planned_for_its_values() -> Iterator[None]:
    """Have each statement inside planned for the values that it carries.

    A statement that comes again and again gets one plan for all values. For a search that plan
    reads the rows in the list's order until enough match, which for a rare word are all of them.
    It lasts for a transaction of its own, so that a pooler's next client gets no part of it.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL plan_cache_mode TO force_custom_plan")
        yield

"""Values that stand in a statement itself and not beside it."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Value
from django.db.models.sql.compiler import SQLCompiler


class Constant(Value):
    """A name of ours, written into the statement.

    PostgreSQL keeps one plan for all values of a statement that comes again and again. That plan
    cannot use an index of what is pending, unless the statement itself says so.
    """

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *_: Any, **__: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """Quoted; nothing but letters and underscores can be written so.

        Raises:
            ValueError: the value is no such name.
        """
        name = str(self.value)
        if not name.isascii() or not name.replace("_", "").isalpha():
            raise ValueError(f"{name!r} is no name of ours.")
        return f"'{name}'", ()

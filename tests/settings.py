"""The product's settings, with throwaway secrets; DATABASE_URL chooses the database."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from config.settings import *  # noqa: F403

"""A server in memory, for the tests of what you build on the client.

`FakeAssent` answers the HTTP contract without sockets, threads or a database, and lends you the
hands of the people: approve, reject, answer, let time pass.
"""

from assent_client.testing.fake import FakeAssent
from assent_client.testing.operations import Answer, NoAnswer

__all__ = ["Answer", "FakeAssent", "NoAnswer"]

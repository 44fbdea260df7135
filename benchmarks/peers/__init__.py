"""Other systems that pause for a person, on the same pause → decide → resume work.

Each is used from Python threads in one process, as its own documentation recommends, on the
same PostgreSQL with the server's own durability. Not compared: ours answers over HTTP and
authenticates, checks permissions and audits each change; none of the peers here does. What they do
that ours does not, such as resuming Python code where it stopped, is in their figures.

The modules `with_*` run in environments of their own; they and `drive` must import nothing else of
this project. `run` starts them from the harness.
"""

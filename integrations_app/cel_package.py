"""The package `common-expression-language`, without its command line.

`import cel` imports `cel.cli` too, whose terminal libraries take 7 MB and 0.15 s of processor
time in every process. An empty module in its place is all that the rest of the package asks for.
"""

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

__all__ = ["cel"]

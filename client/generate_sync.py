"""Write `assent_client/_sync` from `assent_client/_async`: one core, two colours.

python client/generate_sync.py           # writes
python client/generate_sync.py --check   # fails where a file is not what it would write
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "assent_client"
NOTICE = "# Generated from _async/{name} by generate_sync.py; edit that instead.\n"
RULES = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        # Sync functions need neither a test of their colour nor a thread.
        (r"^.*# async only\n", ""),
        (r"asyncio\.to_thread\(function, ", "function("),
        (r"asyncio\.sleep", "time.sleep"),
        (r"import asyncio\n", ""),
        (r"_async\b", "_sync"),
        (r"\bAwaitable\[([^\[\]]+)\]", r"\1"),
        (r"\bAwaitable, |, Awaitable\b", ""),
        (r"\basync (def|with|for) ", r"\1 "),
        (r"\bawait ", ""),
        (r"\b__a(enter|exit)__", r"__\1__"),
        (r"\baclose\b", "close"),
        (r"httpx2\.AsyncHTTP", "httpx2.HTTP"),
        (r"\bAsync(?=[A-Z])", ""),
        (
            r"The client for asyncio\..*",
            'The client for code that blocks, generated from `_async`."""',
        ),
    )
]


def sync_of(name: str, text: str) -> str:
    """The blocking counterpart of an async module."""
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    text = _ruff("check", "--fix-only", "--unsafe-fixes", "--quiet", name=name, text=text)
    return _ruff("format", name=name, text=NOTICE.format(name=name) + text)


def _ruff(*arguments: str, name: str, text: str) -> str:
    """What is shorter without `await` is laid out anew."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        *arguments,
        "--stdin-filename",
        str(PACKAGE / "_sync" / name),
        "-",
    ]
    done = subprocess.run(  # noqa: S603 - a command of our own
        command, cwd=PACKAGE, input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def main(arguments: list[str]) -> int:
    stale = []
    for source in sorted((PACKAGE / "_async").glob("*.py")):
        target = PACKAGE / "_sync" / source.name
        made = sync_of(source.name, source.read_text(encoding="utf-8"))
        if not target.exists() or target.read_text(encoding="utf-8") != made:
            stale.append(target.name)
            if "--check" not in arguments:
                target.write_text(made, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"Run client/generate_sync.py: {', '.join(stale)} is out of date.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Conditions: CEL expressions over a call's arguments and where it comes from.

Variables: `args`; `agent`, the slug; `session` (`id`, `participant`, `metadata`); `run` (`id`,
`parent`, `metadata`). Guard rules also see `operation`, as `integration.operation`, `counts` of
calls, and `now`. Of the two CEL packages `common-expression-language`, the Rust `cel` crate, was
taken: over some 90 expressions side by side it compared numbers across types as CEL asks, kept
booleans and numbers apart and survived deep nesting, in a tenth of the time. `cel-python` failed
on `args.amount == 100` for 100.0 and `> 100.5` for 101, and found `true == 1`. Where the crate
differs from CEL, it is mended here or fails closed:

- `size` of text counted bytes: it counts characters. `matches` is RE2.
- Nothing interrupts an evaluation, which also holds the interpreter: `map` and `filter` (quadratic
  in the crate; a chain of `map` is exponential) are refused, macros nest at most two deep, and
  what an evaluation may cost is computed from the values' sizes before it starts.
- `exists` and `all` fail on the first element that fails, even where a later one would decide.
- Arithmetic does not mix integers and doubles (so CEL): write `double(args.amount) * 1.1`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from accounts_app.errors import DomainError
from integrations_app.cel_package import cel
from integrations_app.condition_values import matches, size, weigh
from integrations_app.schemas import compile_pattern

MAX_SOURCE: Final = 2000  # characters
MAX_NESTED_MACROS: Final = 2
MAX_COST: Final = 200_000_000  # nanoseconds, a pessimistic estimate

VARIABLES: Final = ("args", "agent", "session", "run")
GUARD_VARIABLES: Final = (*VARIABLES, "operation", "counts", "now")
MACROS: Final = frozenset({"all", "exists", "exists_one"})
FUNCTIONS_OF_TEXT: Final = frozenset({"size", "contains", "startsWith", "endsWith", "matches"})
FUNCTIONS: Final = MACROS | FUNCTIONS_OF_TEXT | {"has", "getHours", "getMinutes", "getDayOfWeek"}
CONVERSIONS: Final = frozenset({"int", "uint", "double", "string", "timestamp", "duration"})

_TOKEN_COST: Final = 50  # nanoseconds, measured and rounded up

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>[bB]?(?:[rR](?:'''(?s:.*?)'''|\"\"\"(?s:.*?)\"\"\"|'[^'\n]*'|"[^"\n]*")
        |'''(?s:\\.|[^\\])*?'''|\"\"\"(?s:\\.|[^\\])*?\"\"\"
        |'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()[\]{}])""",
    re.VERBOSE,
)
_PLACE: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_JARGON: Final = re.compile(r"Syntax error: (?:[a-z]+ input|token recognition error at:)")
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_OWN: Final = {"size": "assent_size", "matches": "assent_matches"}


class ConditionFailed(DomainError):
    """The expression cannot be used, or could not be evaluated; never taken for true or false."""

    code = "invalid_value"
    title = "The condition cannot be evaluated"


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that a condition looked at.

    Args:
        path: as the expression has it, like `args.amount` or `args["net amount"][0]`.
        value: what stands there; None where nothing does.
        present: whether anything stands there.
        steps: the path as member names and positions, its first the variable's name.
    """

    path: str
    value: Any
    present: bool = True
    steps: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class _Mention:
    """A path in the source, how deep in macros it stands, and whether nothing after it counts."""

    steps: tuple[str | int, ...]
    depth: int
    whole: bool


@dataclass(frozen=True, slots=True)
class _Compiled:
    program: cel.Program
    mentions: tuple[_Mention, ...]
    depth: int
    bound: int
    tokens: int
    literals: int


class Variables(dict[str, Any]):
    """Values for many conditions; handing them over takes far longer than evaluating one."""

    @cached_property
    def context(self) -> cel.Context:
        """The values as CEL has them."""
        return cel.Context(dict(self), {_OWN["size"]: size, _OWN["matches"]: matches})


def check(source: str, names: tuple[str, ...] = VARIABLES) -> None:
    """Refuse text that is no usable condition.

    Args:
        source: CEL, at most 2,000 characters.
        names: the variables that there are.

    Raises:
        ConditionFailed: blank, too long, malformed (with line and column), unknown variables or
            functions, macros nested deeper than 2, or a pattern that RE2 refuses.
    """
    _compiled(source, names)


def evaluate(source: str, variables: Mapping[str, Any]) -> bool:
    """Whether a condition is true.

    Args:
        source: CEL.
        variables: a value for each variable, as parsed JSON; `now` as a date-time.

    Raises:
        ConditionFailed: the text is refused, a value is missing or of the wrong type, the result
            is neither true nor false, or the evaluation could take longer than about 0.2 s. Its
            detail names places and never values.
    """
    compiled = _compiled(source, tuple(variables))
    if compiled.depth:
        _refuse_cost(compiled, variables)
    ready = variables if isinstance(variables, Variables) else Variables(variables)
    try:
        result = compiled.program.execute(ready.context)
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ConditionFailed(_reason(compiled, variables, error)) from error
    if not isinstance(result, bool):
        raise ConditionFailed("The condition gives a value that is neither true nor false.")
    return result


def explain(source: str, variables: Mapping[str, Any]) -> list[Fact]:
    """The values that a condition looks at, each once, in the order of the source.

    A variable named whole, and a path of which a part is computed, are left out.

    Args:
        source: CEL.
        variables: a value for each variable.

    Raises:
        ConditionFailed: the text is refused.
    """
    facts: dict[str, Fact] = {}
    for mention in _compiled(source, tuple(variables)).mentions:
        path = _spell(mention.steps)
        if mention.whole and path not in ("args", "session", "run", "counts"):
            found, value = _look_up(variables, mention.steps)
            facts[path] = Fact(path, value, found, mention.steps)
    return list(facts.values())


def members(source: str, variable: str, names: tuple[str, ...]) -> frozenset[str] | None:
    """Which members of a variable a condition looks at; None where it takes the whole of it.

    Raises:
        ConditionFailed: the text is refused.
    """
    found = [m.steps[1:2] for m in _compiled(source, names).mentions if m.steps[0] == variable]
    return frozenset(str(step) for (step,) in found) if all(found) else None


def sentence(source: str, facts: list[Fact], limit: int = 80) -> str:
    """One line for a card, like `args.amount > 100 (args.amount = 900)`.

    Args:
        source: the condition.
        facts: what `explain` gave, less what the reader may not see.
        limit: characters shown of each value; what is cut is marked with `…`.
    """
    parts = []
    for fact in facts:
        shown = json.dumps(fact.value, ensure_ascii=False, default=str)
        shown = shown if len(shown) <= limit else f"{shown[:limit]}…"
        parts.append(f"{fact.path} = {shown}" if fact.present else f"{fact.path} is missing")
    return f"{source.strip()} ({', '.join(parts)})" if parts else source.strip()


@lru_cache(maxsize=512)
def _compiled(source: str, variables: tuple[str, ...]) -> _Compiled:
    if not source.strip():
        raise ConditionFailed("A condition is not blank.")
    if len(source) > MAX_SOURCE:
        raise ConditionFailed(f"A condition has at most {MAX_SOURCE:,} characters.")
    found = set(_compile(source).variables())
    tokens = _tokens(source)
    _refuse_tokens(source, tokens)
    mentions, depth, bound = _survey(source, tokens, variables)
    roots = {str(mention.steps[0]) for mention in mentions}
    if not roots <= found <= roots | bound.keys():
        raise ConditionFailed("The condition is written in a way that cannot be analysed.")
    own = source
    for token in reversed(tokens):
        if token.kind == "call" and token.text in _OWN:
            own = own[: token.start] + _OWN[token.text] + own[token.start + len(token.text) :]
    return _Compiled(
        program=_compile(own),
        mentions=tuple(mentions),
        depth=depth,
        bound=sum(bound.values()),
        tokens=len(tokens) + 80 * own.count("assent_"),  # a call back into Python takes 4 µs
        literals=sum(token.text == "," for token in tokens) + 1,
    )


def _compile(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except (ValueError, RuntimeError) as error:
        place = _PLACE.search(str(error))
        if place is None or "Recursion limit" in place[3]:
            raise ConditionFailed("The condition is no CEL, or nested too deeply.") from error
        reason = _JARGON.sub("unexpected", place[3].split(" expecting ")[0])
        reason = reason.replace("'<EOF>'", "end of the text")[:200]
        reason = "".join(sign if sign.isprintable() else "�" for sign in reason)
        raise ConditionFailed(f"Line {place[1]}, column {place[2]}: {reason}.") from error


def _tokens(source: str) -> list[_Token]:
    """The source's words and signs; `kind` tells variables, members and calls apart."""
    tokens: list[_Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise _at(source, at, "unexpected character")
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup, match[0], at))
        at = match.end()
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ""
        if token.kind == "name" and (token.text not in _WORDS or before == "."):
            after = tokens[index + 1].text if index + 1 < len(tokens) else ""
            kind = "call" if after == "(" else "member" if before == "." else "variable"
            tokens[index] = _Token(kind, token.text, token.start)
    return tokens


def _refuse_tokens(source: str, tokens: list[_Token]) -> None:
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else _Token("sign", "", 0)
        ended = before.text in (")", "]", "}") or before.kind not in ("sign", "name")
        if (token.text == "." and not ended) or (token.text == "{" and ended):
            raise _at(source, token.start, f"{token.text} cannot stand here")
        if token.text == "?" and not ended and before.text not in ("true", "false", "null"):
            raise _at(source, token.start, "optional values are not supported")
        if token.kind == "call" and token.text not in FUNCTIONS | CONVERSIONS:
            known = ", ".join(sorted(FUNCTIONS | CONVERSIONS))
            raise _at(source, token.start, f"{token.text} is no known function; there are {known}")
        if token.kind == "call" and token.text == "matches":
            _refuse_pattern(source, tokens[index : index + 4], before)


def _refuse_pattern(source: str, tokens: list[_Token], before: _Token) -> None:
    """A computed pattern could be an agent's; only one that stands in the source is run."""
    if before.text != "." or len(tokens) < 4 or (tokens[2].kind, tokens[3].text) != ("text", ")"):
        raise _at(source, tokens[0].start, 'write it as text.matches("pattern")')
    pattern = cel.evaluate(tokens[2].text)
    try:
        compile_pattern(pattern if isinstance(pattern, str) else "(")
    except ValueError as error:
        raise _at(source, tokens[2].start, str(error).rstrip(".")) from error


def _survey(
    source: str, tokens: list[_Token], variables: tuple[str, ...]
) -> tuple[list[_Mention], int, dict[str, int]]:
    """Paths with their macro depth, the greatest depth, and macro variables with their uses."""
    mentions: list[_Mention] = []
    uses: dict[str, int] = {}
    scopes: list[str] = []  # for every open bracket the name that its macro binds, or ""
    deepest = 0
    for index, token in enumerate(tokens):
        names = [name for name in scopes if name]
        if token.text in ("(", "[", "{"):
            scopes.append(_bound_name(source, tokens, index))
            deepest = max(deepest, len(names) + bool(scopes[-1]))
            if deepest > MAX_NESTED_MACROS:
                raise _at(source, token.start, "exists and all nest at most two deep")
        elif token.text in (")", "]", "}"):
            scopes.pop()
        elif token.kind == "variable" and token.text in names:
            uses[token.text] = uses.get(token.text, 0) + 1
        elif token.kind == "variable" and token.text in variables:
            steps, whole = _chain(tokens, index)
            mentions.append(_Mention(steps, len(names), whole))
        elif token.kind == "variable":
            known = ", ".join(variables)
            raise _at(source, token.start, f"{token.text} is no known variable; there are {known}")
    return mentions, deepest, uses


def _bound_name(source: str, tokens: list[_Token], opening: int) -> str:
    if not opening or tokens[opening - 1].kind != "call" or tokens[opening - 1].text not in MACROS:
        return ""
    call, name = tokens[opening - 1], tokens[opening + 1]
    if name.kind != "variable" or name.text in VARIABLES or tokens[opening + 2].text != ",":
        raise _at(source, call.start, f"write it as list.{call.text}(x, condition on x)")
    return name.text


def _chain(tokens: list[_Token], index: int) -> tuple[tuple[str | int, ...], bool]:
    """The path that starts at a variable, and whether no part of it is computed."""
    steps: list[str | int] = [tokens[index].text]
    rest = index + 1
    while rest < len(tokens):
        texts = [token.text for token in tokens[rest : rest + 3]]
        if texts[0] == "." and tokens[rest + 1].kind == "member":
            steps.append(texts[1])
            rest += 2
        elif texts[0] == "[" and texts[2:] == ["]"] and tokens[rest + 1].kind in ("text", "number"):
            key = cel.evaluate(texts[1])
            if not isinstance(key, str | int):
                return tuple(steps), False
            steps.append(key)
            rest += 3
        else:
            return tuple(steps), texts[0] != "["
    return tuple(steps), True


def _at(source: str, offset: int, reason: str) -> ConditionFailed:
    line = source.count("\n", 0, offset) + 1
    column = offset - source.rfind("\n", 0, offset)
    return ConditionFailed(f"Line {line}, column {column}: {reason}.")


def _spell(steps: tuple[str | int, ...]) -> str:
    path = str(steps[0])
    for step in steps[1:]:
        plain = isinstance(step, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", step)
        path += f".{step}" if plain else f"[{json.dumps(step, ensure_ascii=False)}]"
    return path


def _look_up(variables: Mapping[str, Any], steps: tuple[str | int, ...]) -> tuple[bool, Any]:
    value: Any = variables
    for step in steps:
        is_member = isinstance(value, Mapping) and step in value
        is_element = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
        if not is_member and not is_element:
            return False, None
        value = value[step]
    return True, value


def _reason(compiled: _Compiled, variables: Mapping[str, Any], error: Exception) -> str:
    if isinstance(error, LookupError):
        paths = {_spell(each.steps): each.steps for each in compiled.mentions if each.whole}
        missing = [path for path, steps in paths.items() if not _look_up(variables, steps)[0]]
        return f"Missing: {', '.join(missing) or 'a value that it asks for'}."
    if isinstance(error, ArithmeticError):
        return "A number became too large, or was divided by zero."
    if isinstance(error, TypeError):
        return "Values of types that do not go together are compared or combined."
    return "A function does not accept the value that it was given."


def _refuse_cost(compiled: _Compiled, variables: Mapping[str, Any]) -> None:
    total, longest = weigh(variables)
    rounds = max(longest, compiled.literals)
    cost = rounds**compiled.depth * compiled.tokens * _TOKEN_COST
    cost += compiled.bound * total * rounds ** max(compiled.depth - 1, 0)
    for mention in compiled.mentions:
        weight = weigh(_look_up(variables, mention.steps)[1])[0]
        cost += weight * rounds**mention.depth
    if cost > MAX_COST:
        raise ConditionFailed("The values are too large for this condition to be evaluated.")

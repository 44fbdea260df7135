"""Detectors that read arguments: secrets and personal data, and instructions hidden in them.

Every pattern runs on RE2, whose time is linear in the text. Explanations name the kind and the
place of what was found, and never quote a secret.
"""

from collections.abc import Sequence

from guard_app.facts import Facts, Hit, Rule, ScreenedCall
from guard_app.personal import DEFAULT_TYPES, FINDERS
from guard_app.texts import quoted
from integrations_app.schemas import compile_pattern

_SHOWN = 5
_DISGUISES = {
    "characters that reverse the reading direction": compile_pattern(
        r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]"
    ),
    "invisible characters": compile_pattern(
        r"[\x{200B}\x{2060}-\x{2064}\x{180E}\x{3164}\x{115F}]|.\x{FEFF}|[a-zA-Z][\x{200C}\x{200D}]"
        r"|[\x{E0000}-\x{E007F}\x{E0100}-\x{E01EF}]"
    ),
    "look-alike letters of another script": compile_pattern(
        r"[a-zA-Z][\p{Cyrillic}ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο]|[\p{Cyrillic}ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο][a-zA-Z]"
    ),
}
_WORDS = {
    "markup that acts": compile_pattern(
        r"(?i)<\s*(?:script|iframe|object|embed|svg|meta|form)\b|<[a-z]+\s[^>]{0,300}\bon[a-z]+\s*="
        r"|javascript\s*:|data\s*:\s*text/html|!\[[^\]]{0,200}\]\(\s*https?:"
    ),
    "marks of a model's own language": compile_pattern(
        r"(?i)<\|(?:im_start|im_end|system|assistant|endoftext)\|>|\[/?INST\]|<</?SYS>>"
        r"|(?:^|\n)\s*#{2,}\s*(?:system|assistant|instructions?)\s*:?\s*(?:\n|$)"
    ),
    "instructions to the model": compile_pattern(
        r"(?i)\b(?:ignore|disregard|forget|override|bypass)\b[\s\S]{0,30}"
        r"\b(?:previous|prior|above|earlier|preceding|all|any|your|system)\b[\s\S]{0,30}"
        r"\b(?:instructions?|prompts?|rules|guidelines|directions|safety)\b"
        r"|\b(?:reveal|print|repeat|show|output)\b[\s\S]{0,20}\byour\b[\s\S]{0,20}\bprompt\b"
        r"|\bdo not (?:tell|inform|mention|alert)\b[\s\S]{0,20}\b(?:user|human|operator|anyone)\b"
        r"|\byou are now (?:a|an|in|the|dan)\b|\bnew (?:system )?instructions\s*:"
        r"|\b(?:developer|god|jailbreak) mode\b|\bpretend (?:that )?you (?:are|have)\b"
    ),
    "instructions to the model, in another language": compile_pattern(
        r"(?i)\b(?:ignoriere|vergiss|missachte)\b[\s\S]{0,40}\b(?:anweisungen|regeln|befehle)\b"
        r"|\b(?:ignore[zr]?|oublie[zr]?)\b[\s\S]{0,40}\b(?:instructions|consignes|règles)\b"
        r"|\b(?:ignora|olvida)\b[\s\S]{0,40}\b(?:instrucciones|reglas|istruzioni)\b"
    ),
}


def sensitive_data(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """Secrets and personal data of the wanted types, in any text of the arguments."""
    types = rule.parameters.get("types") or DEFAULT_TYPES
    kinds = [each for name in types if (each := _kinds(call, name))]
    if not kinds:
        return None
    found: list[str] = []
    for index, (pointer, _, _) in enumerate(call.texts):
        found += [f"{each[index]} at {pointer}" for each in kinds if each[index]]
        if len(found) >= _SHOWN:
            break
    if not found:
        return None
    listed = "; ".join(dict.fromkeys(found))
    return Hit(f"The arguments hold: {listed}.", seen=listed, usual="none of these")


def _kinds(call: ScreenedCall, name: str) -> list[str]:
    """What a finder says of each text, asked once for all rules; nothing where it finds none."""
    if name not in call.read:
        find = FINDERS[name]
        any_at_all = find(call.joined)
        call.read[name] = [find(plain) for _, _, plain in call.texts] if any_at_all else []
    found: list[str] = call.read[name]
    return found


def injection(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """Instructions, markup or disguised characters in any text of the arguments."""
    if "injection" not in call.read:
        call.read["injection"] = _injected(call)
    found: list[str] = call.read["injection"]
    if not found:
        return None
    listed = "; ".join(dict.fromkeys(found))
    return Hit(f"The arguments hold {listed}.", seen=listed, usual="plain text")


def _injected(call: ScreenedCall) -> list[str]:
    found: list[str] = []
    words = [kind for kind, pattern in _WORDS.items() if pattern.search(call.joined) is not None]
    for pointer, text, plain in call.texts:
        for kind, quote in _suspicious(text, plain, words):
            shown = "" if call.hides(pointer) else f" {quoted(quote)}"
            found.append(f"{kind} at {pointer}{shown}")
        if len(found) >= _SHOWN:
            break
    return found


def _suspicious(text: str, plain: str, words: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    if not text.isascii():
        for kind, pattern in _DISGUISES.items():
            match = pattern.search(text)
            if match is not None:
                found.append((kind, text[max(match.start() - 10, 0) : match.end() + 20]))
    for kind in words:
        match = _WORDS[kind].search(plain)
        if match is not None:
            found.append((kind, match[0]))
    return found

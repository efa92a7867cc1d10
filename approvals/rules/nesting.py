"""How deep a Cedar text nests, told before Cedar reads it: its parser recurses, and a text that is deep enough ends the
process.

No meaning is read here; strings and comments are not taken apart, so what stands in them counts too.
"""

from __future__ import annotations

DEPTH_AT_MOST = 64  # brackets within brackets; some 500 overflowed the parser's stack, and nobody reads twenty
PARTS_AT_MOST = 400  # members, operators and ifs of one expression: each may nest the next

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def depth(text: str) -> int:
    """The deepest nesting of round, square and curly brackets."""
    now = deepest = 0
    for character in text:
        if character in _OPENING:
            now += 1
            deepest = max(deepest, now)
        elif character in _CLOSING:
            now = max(0, now - 1)
    return deepest


def parts(text: str) -> int:
    """How many signs there are by which one expression becomes part of another."""
    signs = sum(text.count(sign) for sign in (".", "!", "-", "+", "*", "&&", "||", "[", "=", "<", ">"))
    return signs + sum(text.split().count(word) for word in ("if", "like", "has", "in"))

"""The blocks of a document, and how an answer compares to a documented one."""

import json
import re


def blocks(text):
    """Number to language, line and text of each fenced block."""
    found, language, start, lines = {}, None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*```\s*(\w*)", line)
        if fence and language is None:
            language, start, lines = fence.group(1).lower() or "text", number, []
        elif fence:
            found[len(found) + 1] = (language, start, "\n".join(lines) + "\n")
            language = None
        elif language is not None:
            lines.append(line)
    return found


def read_json(text):
    """A block of JSON. One that is none without its comments is read without them."""
    try:
        return json.loads(text), False
    except ValueError:
        bare = re.sub(r"^\s*//.*$", "", text, flags=re.M)
        return json.loads(re.sub(r",(\s*[}\]])", r"\1", bare)), True


def differences(documented, actual, at="answer"):
    """What an answer lacks of the documented one: keys, and the types of their values. Null
    stands for any type in both, and lists are compared by their first elements."""
    if documented is None or actual is None:
        return []
    if isinstance(documented, bool) or isinstance(actual, bool):
        same = isinstance(documented, bool) and isinstance(actual, bool)
        return [] if same else [f"{at} is {actual!r}"]
    if isinstance(documented, (int, float)):
        return [] if isinstance(actual, (int, float)) else [f"{at} is {actual!r}"]
    if not isinstance(actual, type(documented)):
        return [f"{at} is {actual!r}"]
    if isinstance(documented, dict):
        lacking = [f"{at}.{key} is missing" for key in documented if key not in actual]
        both = [key for key in documented if key in actual]
        return lacking + [
            words
            for key in both
            for words in differences(documented[key], actual[key], f"{at}.{key}")
        ]
    if isinstance(documented, list) and documented and actual:
        return differences(documented[0], actual[0], f"{at}[0]")
    return []

# SPDX-License-Identifier: Apache-2.0
"""Text from outside (messages, recordings, file names) made safe to show. Call it once, where the text is shown.

An escape sequence in a name can move the cursor, change colours or set the title of a terminal. Characters that change
the direction of the text can hide a part of it. A long text can bury the rest of a page.
"""

LIMIT = 500
"""Characters that are shown of one text."""


def cut(text: str, limit: int = LIMIT) -> str:
    """Return at most `limit` characters; a cut text ends with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + '…'


def printable(text: str, limit: int = LIMIT) -> str:
    """Return a text as one line without control characters.

    Line ends, control, formatting and unassigned characters become escapes of Python, such as `\\x1b` for ESC. A text
    that is printable already is returned unchanged, so a second call changes nothing.

    Args:
        text: from outside.
        limit: characters of `text` that are kept.
    """
    kept = cut(text, limit)
    if kept.isprintable():
        return kept
    return ''.join(char if char.isprintable() else ascii(char)[1:-1] for char in kept)


def printable_lines(text: str) -> str:
    """Return a text with its line ends, and with each line as `printable` returns it, uncut."""
    return text if text.isprintable() else '\n'.join(printable(line, len(line)) for line in text.split('\n'))

"""File names and other foreign text in messages and comments: one line, no control codes. Pure."""


def shown(text: str) -> str:
    """`text` with everything that does not print as a backslash escape; undecodable bytes (lone surrogates) as `\\xNN`.

    Cannot be turned back: it is for eyes only.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")

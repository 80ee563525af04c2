"""Numbers and paths as people read them."""


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "worker"), counted(2_000, "file")
    ('1 worker', '2,000 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shown(text: str) -> str:
    r"""A path, or words with one in them, for a terminal or a log: what is not printable is escaped.

    >>> print(shown("a\nb\x1b[31m.mp3"))
    a\nb\x1b[31m.mp3
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)

"""Numbers as people read them."""


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "worker"), counted(2_000, "file")
    ('1 worker', '2,000 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

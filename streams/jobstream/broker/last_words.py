"""Finds in the log of a dead node the lines that say why it died.

It reads text and picks lines; what to do about them is for the reader.
"""

_TELLING = (" FATAL ", " ERROR ", "Exception: ", "Exception in thread", "Caused by: ", "Error: ")
_LINES_MAX = 8


def last_words(log: str, output: str) -> str:
    """The last telling lines of Kafka's `log`, or else the end of what the JVM printed.

    A log ends with many lines of orderly shutdown, whose cause stands far above them.
    """
    told = [line.strip() for line in (log + "\n" + output).splitlines() if _is_telling(line)]
    distinct = list(dict.fromkeys(told))
    chosen = distinct or output.splitlines() or ["it said nothing"]
    return "\n".join(chosen[-_LINES_MAX:])


def _is_telling(line: str) -> bool:
    return any(sign in line for sign in _TELLING)

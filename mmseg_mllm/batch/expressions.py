"""What is asked, from the command line and from a file."""

from collections.abc import Sequence
from pathlib import Path

from mmseg_mllm.batch.text_lines import read_lines
from mmseg_mllm.datasets.limits import MAX_TEXT, check_limit
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.prompts import expression_problem


def read_expressions(texts: Sequence[str], file: Path | None = None) -> list[str]:
    """The expressions given, then those of a file with one in a line.

    Raises:
        ConfigError: there is none, or a given one is none.
        DataError: the file can't be read, or a line is no expression.
    """
    for text in texts:
        problem = expression_problem(text)
        if problem:
            raise ConfigError(f"this expression {problem}: {text!r:.200}")
        check_limit(f"the expression {text!r:.60} has", len(text), MAX_TEXT, unit="characters")
    lines = [] if file is None else read_lines(file)
    for number, line in lines:
        problem = expression_problem(line)
        if problem:
            raise DataError(f"{file}, line {number}: this expression {problem}: {line!r:.200}")
        check_limit(f"{file}, line {number}: has", len(line), MAX_TEXT, unit="characters")
    found = [*texts, *(line for _, line in lines)]
    if not found:
        empty = f"{file}: the file is empty; write" if file else "nothing is asked; give"
        raise ConfigError(f'{empty} at least one expression, such as -q "the man in red"')
    return found

"""The size of a model's input in pixels: the side of a square, or height and width."""

from typing import TypeAlias

from mmseg_mllm.errors import ConfigError

InputSize: TypeAlias = int | tuple[int, int]


def input_size(value: object) -> InputSize:
    """A size from a config or a file, in the one form that it is kept in: that of a square is its side.

    Raises:
        ConfigError: it is neither a whole number nor two of them.
    """
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(sides) != 2 or any(type(side) is not int for side in sides):
        raise ConfigError(
            f"image_size={value!r}: must be the side of a square in pixels, or two numbers, (height, width)"
        )
    return sides[0] if sides[0] == sides[1] else sides


def height_width(size: InputSize) -> tuple[int, int]:
    """(height, width) of a size."""
    return (size, size) if isinstance(size, int) else size


def size_text(size: InputSize) -> str:
    """Height and width for people."""
    return "{} x {}".format(*height_width(size))

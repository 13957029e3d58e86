"""What expressions can be grouped by. Imports nothing, so that tools can list it before torch is there."""

import argparse

TITLES = {
    "category": "category of the target",
    "size": "size of the target",
    "need": "the kinds of words that tell the target",
}
"""By its name, what a table's title says."""


def add_group_flag(parser: argparse.ArgumentParser) -> None:
    """``--by``, for figures of each group."""
    parser.add_argument(
        "--by",
        choices=list(TITLES),
        help="also a table per split by the target's category or size, or (toy data) by the kinds of words "
        "that an expression needs",
    )

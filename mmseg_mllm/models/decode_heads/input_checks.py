"""Whether a backbone's maps and a dataset's labels are those that a decode head was built for."""

from collections.abc import Sequence

from torch import Tensor

from mmseg_mllm.errors import ConfigError


def check_arguments(
    *, in_channels: Sequence[int], in_index: Sequence[int], key_reduction: int, num_convs: int
) -> None:
    """See that there are as many channels as indices, two or more, and that no number is too small.

    Raises:
        ConfigError: they are not.
    """
    for name, value in dict(in_channels=in_channels, in_index=in_index).items():
        if not isinstance(value, Sequence) or len(value) < 2:
            raise ConfigError(
                f"DSFFHead: {name}={value!r}: give two or more, of detail maps and last of the semantic map"
            )
    if len(in_channels) != len(in_index):
        raise ConfigError(
            f"DSFFHead: in_channels={list(in_channels)} are not as many as in_index={list(in_index)}"
        )
    if key_reduction < 1:
        raise ConfigError(f"DSFFHead: key_reduction={key_reduction}: 1 keeps all pixels, 2 a quarter")
    if num_convs < 0:
        raise ConfigError(f"DSFFHead: num_convs={num_convs}: 0 or more")


def check_maps(maps: Sequence[Tensor], *, in_index: Sequence[int], in_channels: Sequence[int]) -> None:
    """See that the maps of ``in_index`` exist, and none is finer than the first.

    Args:
        maps: The backbone's outputs (B, C_i, H_i, W_i).
        in_index: Indices of the detail maps, and last of the semantic map.
        in_channels: Their widths.

    Raises:
        ConfigError: they are not.
    """
    n = 1 if isinstance(maps, Tensor) else len(maps)
    if any(not -n <= index < n for index in in_index):
        several = f"{n} maps, 0 to {n - 1}" if n > 1 else "a single map"
        raise ConfigError(
            f"DSFFHead: in_index={list(in_index)}, but the backbone gives {several}: choose others, or have "
            "it give more by its out_indices or a neck"
        )
    chosen = [maps[index] for index in in_index]
    widths = [feature_map.shape[1] for feature_map in chosen]
    if widths != list(in_channels):
        raise ConfigError(
            f"DSFFHead: in_channels={list(in_channels)}, but the backbone's maps {list(in_index)} have "
            f"{widths} channels"
        )
    first, *others = [tuple(feature_map.shape[2:]) for feature_map in chosen]
    finer = [size for size in others if first[0] < size[0] or first[1] < size[1]]
    if finer:
        raise ConfigError(
            f"DSFFHead: in_index={list(in_index)} takes a first detail map of {first} and another map of "
            f"{finer[0]}: the finest map comes first, the semantic one last"
        )


def check_labels(labels: Tensor, *, num_classes: int, ignore_index: int | None) -> None:
    """See that every label is a class.

    On a GPU it waits for the labels; mmseg's losses and accuracy do so as well.

    Args:
        labels: Any shape, int64.
        num_classes: The labels are 0 to ``num_classes - 1``; 0 and 1 also for a single class.
        ignore_index: The label of no class.

    Raises:
        ConfigError: one is not.
    """
    unknown = (labels < 0) | (labels >= max(num_classes, 2))
    if ignore_index is not None:
        unknown &= labels != ignore_index
    if unknown.any():
        found = labels[unknown].unique().tolist()
        shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise ConfigError(
            f"num_classes={num_classes}, but there are labels {shown} (ignore_index={ignore_index}): set "
            "num_classes to the dataset's number of classes, and see whether its labels begin with 0 "
            "(reduce_zero_label)"
        )

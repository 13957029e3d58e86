import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets.masks import union_mask
from mmseg_mllm.errors import DataError

HEIGHT, WIDTH = 23, 31
PIXELS = HEIGHT * WIDTH
INF, NAN = float("inf"), float("nan")

SQUARE = [4.0, 5.0, 14.0, 5.0, 14.0, 15.0, 4.0, 15.0]
TRIANGLE = [20.3, 2.1, 29.8, 4.4, 22.2, 19.9]
PAIR = [1.0, 1.0, 25.0, 20.0]


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.3


def runs_of(mask: np.ndarray) -> list[int]:
    """Uncompressed RLE counts, pixel by pixel down the columns."""
    counts, current = [0], False
    for pixel in mask.T.ravel():
        if pixel != current:
            counts.append(0)
            current = not current
        counts[-1] += 1
    return counts


def compressed(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def decoded(polygon: list[float]) -> np.ndarray:
    (rle,) = coco_mask.frPyObjects([polygon], HEIGHT, WIDTH)
    return coco_mask.decode(rle).astype(bool)


def union(**segmentations) -> np.ndarray:
    given = dict(enumerate(segmentations.values(), 1))
    mask = union_mask(given, height=HEIGHT, width=WIDTH)
    assert mask.dtype == bool
    assert mask.shape == (HEIGHT, WIDTH)
    return mask


def test_a_square_is_the_pixels_inside_it():
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:15, 4:14] = True
    assert np.array_equal(union(one=[SQUARE]), expected)


def test_polygons_are_united_as_pycocotools_draws_them():
    integers = [20, 2, 29, 4, 22, 19]
    assert np.array_equal(union(one=[SQUARE, TRIANGLE]), decoded(SQUARE) | decoded(TRIANGLE))
    assert np.array_equal(union(one=[integers]), decoded([float(number) for number in integers]))
    over_the_edge = [-3.5, 10.0, 12.0, -2.0, 33.0, 12.0, 12.0, 25.5]
    assert np.array_equal(union(one=[over_the_edge]), decoded(over_the_edge))


@pytest.mark.parametrize(
    "mask",
    [noise(0), noise(1), ~noise(2), np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), bool)],
    ids=["noise", "other noise", "dense", "empty", "full"],
)
def test_rle_in_its_three_spellings(mask):
    rle = compressed(mask)
    assert np.array_equal(union(one=rle), mask)
    assert np.array_equal(union(one=dict(size=[HEIGHT, WIDTH], counts=rle["counts"].decode())), mask)
    assert np.array_equal(union(one=dict(size=[HEIGHT, WIDTH], counts=runs_of(mask))), mask)


def test_a_list_of_rles_is_united():
    """As RefCLEF has them."""
    rles = [compressed(noise(7)), dict(size=[HEIGHT, WIDTH], counts=runs_of(noise(8)))]
    assert np.array_equal(union(one=rles), noise(7) | noise(8))


def test_rle_of_a_large_mask():
    rows, columns = np.mgrid[:480, :640]
    mask = (rows - 200) ** 2 + (columns - 330) ** 2 < 150**2
    mask[::7] = False
    assert np.array_equal(union_mask({1: compressed(mask)}, height=480, width=640), mask)


@pytest.mark.parametrize("empty", [None, [], {}, [PAIR], [[]], [[3.0, 4.0]], [PAIR, [5.0, 5.0]]])
def test_what_covers_no_pixel(empty):
    assert not union(one=empty).any()
    assert np.array_equal(union(one=empty, two=[SQUARE]), decoded(SQUARE))


def test_polygons_with_fewer_than_three_points_are_ignored_among_others():
    for polygons in ([PAIR, SQUARE], [SQUARE, PAIR], [[], SQUARE, [1.0]]):
        assert np.array_equal(union(one=polygons), decoded(SQUARE))


def test_several_annotations_are_united():
    given = dict(
        polygon=[SQUARE], runs=dict(size=[HEIGHT, WIDTH], counts=runs_of(noise(3))), rle=compressed(noise(4))
    )
    assert np.array_equal(union(**given), decoded(SQUARE) | noise(3) | noise(4))
    assert not union_mask({}, height=HEIGHT, width=WIDTH).any()


@pytest.mark.parametrize(
    "rle",
    [
        dict(size=[WIDTH, HEIGHT], counts=[PIXELS]),
        dict(size=[HEIGHT, WIDTH + 1], counts=[HEIGHT * (WIDTH + 1)]),
        compressed(np.ones((HEIGHT + 1, WIDTH), bool)),
        dict(size=None, counts=[PIXELS]),
        dict(size=5, counts=[PIXELS]),
    ],
)
def test_rle_of_another_size_is_refused(rle):
    with pytest.raises(DataError, match=r"validation image 9, annotation 77.*\[23, 31\]"):
        union_mask({77: rle}, height=HEIGHT, width=WIDTH, where="validation image 9")


@pytest.mark.parametrize("rle", [dict(counts=[PIXELS]), dict(size=[HEIGHT, WIDTH]), dict(points=[1, 2])])
def test_rle_that_lacks_a_part_is_refused(rle):
    with pytest.raises(DataError, match=r"annotation 77: its RLE lacks `size` or `counts`"):
        union_mask({77: rle}, height=HEIGHT, width=WIDTH, where="validation image 9")


RLE = compressed(noise(5))["counts"]


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [3, 4],
        [PIXELS, 1],
        [PIXELS + 5, -5],
        [3, 10**12],
        [1.5, PIXELS - 1.5],
        ["3", PIXELS - 3],
        [None],
        [[PIXELS]],
        [NAN, 5],
        None,
        5,
        b"",
        "",
        RLE[:-1],
        RLE[: len(RLE) // 2].decode(),
        RLE + RLE,
        RLE + b"`",
        "some words, no RLE",
        b"\xff" * 20,
        "\u00e9" * 5,
        "o" * 5000,
    ],
)
def test_counts_that_make_no_mask_are_refused(counts):
    with pytest.raises(DataError, match=r"annotation 7: its RLE"):
        union_mask({7: dict(size=[HEIGHT, WIDTH], counts=counts)}, height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize(
    "number", [NAN, INF, -INF, 1e5, -1e5, 1e9, 1e300, -(2**31), 2**200, "5", None, [5.0]]
)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_coordinates_that_are_none_are_refused(number, place):
    polygon = list(TRIANGLE)
    polygon[place] = number
    with pytest.raises(DataError, match=r"annotation 7: its polygons"):
        union_mask({7: [SQUARE, polygon]}, height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        [SQUARE + [3.0]],
        [SQUARE, "1234567"],
        "1 2 3 4 5 6",
        [[[4, 5], [14, 5], [14, 15]]],
        [[[4, 5], [14, 5], [14, 15], [4, 5], [14, 5], [14, 15]]],
        [compressed(noise(6)), SQUARE],
        5,
    ],
)
def test_polygons_of_another_structure_are_refused(segmentation):
    with pytest.raises(DataError, match=r"image 9, annotation 7: its polygons"):
        union_mask({7: segmentation}, height=HEIGHT, width=WIDTH, where="image 9")

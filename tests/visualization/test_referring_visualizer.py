from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmseg.registry import HOOKS, VISUALIZERS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_mllm.engine.hooks.referring_visualization_hook import ReferringVisualizationHook, spread_indices
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.visualization import ReferringVisualizer, draw_referring, fonts, mask_iou, panels


def make_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (height, width, 3), dtype=np.uint8)


def make_masks(count: int, height: int, width: int) -> np.ndarray:
    """Masks that cover the middle half of the image in both directions."""
    masks = np.zeros((count, height, width), bool)
    masks[:, height // 4 : -(height // 4), width // 4 : -(width // 4)] = True
    return masks


def make_sample(count: int, height: int, width: int, **meta) -> SegDataSample:
    masks = torch.from_numpy(make_masks(count, height, width))
    sample = SegDataSample(metainfo=dict(expressions=[f"object {i}" for i in range(count)], **meta))
    sample.gt_instances = InstanceData(masks=masks)
    sample.pred_instances = InstanceData(masks=masks, scores=torch.ones(count))
    return sample


@pytest.fixture
def texts(monkeypatch):
    """Texts drawn on a page, each with its box (left, top, right, bottom)."""
    drawn = []
    original = fonts.ImageDraw.ImageDraw.text

    def text(self, xy, text, *args, **kwargs):
        drawn.append((text, self.textbbox(xy, text, font=kwargs["font"], anchor=kwargs["anchor"])))
        return original(self, xy, text, *args, **kwargs)

    monkeypatch.setattr(fonts.ImageDraw.ImageDraw, "text", text)
    return drawn


def meet(a: tuple, b: tuple) -> bool:
    """Whether two boxes share a line."""
    return a[1] < b[3] and b[1] < a[3]


def test_mask_iou():
    a, b = np.zeros((2, 4, 4), bool)
    assert mask_iou(pred=a, gt=b) == 1.0
    a[:2] = True
    assert mask_iou(pred=a, gt=b) == 0.0
    b[1:3] = True
    assert mask_iou(pred=a, gt=b) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(640, 480, (480, 360)), (100, 900, (53, 480)), (20, 15, (480, 360)), (3000, 2, (480, 1))],
)
def test_panel_size_keeps_the_aspect_ratio_in_a_square(width, height, expected):
    assert panels.panel_size(width=width, height=height, panel_width=480) == expected


@pytest.mark.parametrize(("height", "width"), [(96, 96), (600, 800)])
def test_an_object_keeps_its_pixels_and_all_else_is_dimmed(height, width):
    image, mask = make_image(height, width), make_masks(1, height, width)[0]
    size = panels.panel_size(width=width, height=height, panel_width=480)
    plain = panels.draw_panel(image=image, mask=None, color=panels.PRED_COLOR, size=size)
    panel = panels.draw_panel(image=image, mask=mask, color=panels.PRED_COLOR, size=size)
    np.testing.assert_array_equal(
        plain, np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    )

    h, w = panel.shape[:2]
    # Up to the edge: what blurs together there differs by a pixel.
    inner = (slice(h // 4 + 3, -(h // 4) - 3), slice(w // 4 + 3, -(w // 4) - 3))
    np.testing.assert_array_equal(panel[inner], plain[inner])
    outside = np.ones((h, w), bool)
    outside[h // 4 - 8 : -(h // 4) + 8, w // 4 - 8 : -(w // 4) + 8] = False
    np.testing.assert_allclose(panel[outside], 0.4 * plain[outside], atol=0.51)
    edge = panel[h // 2, w // 4 - 8 : w // 4 + 3]
    assert (edge == panels.PRED_COLOR).all(axis=-1).sum() == 2
    assert (edge == 255).all(axis=-1).sum() == 1


def test_a_lone_mask_pixel_stays_visible_in_every_scale():
    for side in (24, 96, 3000):
        mask = np.zeros((side, side), bool)
        mask[side // 2, side // 2] = True
        panel = panels.draw_panel(
            image=make_image(side, side), mask=mask, color=panels.GT_COLOR, size=(480, 480)
        )
        assert (panel == panels.GT_COLOR).all(axis=-1).any()


def test_page_holds_both_panels_and_the_iou(texts):
    image, gt = make_image(96, 128), make_masks(1, 96, 128)
    pred = np.roll(gt, 7, axis=2)
    page = draw_referring(image=image, expressions=["the café's cat"], gt_masks=gt, pred_masks=pred)
    assert page.dtype == np.uint8
    gap = 20
    for column, (mask, color) in enumerate([(gt, panels.GT_COLOR), (pred, panels.PRED_COLOR)]):
        panel = panels.draw_panel(image=image, mask=mask[0], color=color, size=(480, 360))
        x = gap + column * (480 + gap)
        np.testing.assert_array_equal(page[-gap - 360 : -gap, x : x + 480], panel)
    assert page.shape[1] == 2 * 480 + 3 * gap
    assert (page[:, :gap] == 255).all()
    assert (page[:, -gap:] == 255).all()
    shown = f"IoU {100 * mask_iou(pred=pred[0], gt=gt[0]):.1f}"
    assert [text for text, _ in texts] == ["ground truth", "prediction", shown, "“the café's cat”"]


def test_many_expressions_stand_side_by_side_in_small_panels(texts):
    masks, expressions = make_masks(13, 96, 128), [f"object {i}" for i in range(13)]
    pages = {
        k: draw_referring(
            image=make_image(96, 128), gt_masks=masks[:k], pred_masks=masks[:k], expressions=expressions[:k]
        )
        for k in (1, 2, 4, 12)
    }
    assert pages[1].shape[1] == pages[2].shape[1] == 2 * 480 + 3 * 20
    assert pages[4].shape[0] < pages[2].shape[0]
    assert max(pages[12].shape) < 1700
    boxes = {text: box for text, box in texts[-48:] if text.startswith("“")}
    assert len({round(box[0]) for box in boxes.values()}) == 3
    assert len({round(box[1]) for box in boxes.values()}) == 4


def test_expressions_beyond_the_maximum_are_counted(texts):
    arguments = dict(image=make_image(96, 96), pred_masks=make_masks(7, 96, 96), gt_masks=None)
    expressions = [f"object {i}" for i in range(7)]
    draw_referring(**arguments, expressions=expressions, max_expressions=4)
    assert texts[-1][0] == "+ 3 more expressions"
    draw_referring(**arguments, expressions=expressions, max_expressions=6)
    assert texts[-1][0] == "+ 1 more expression"
    draw_referring(**arguments, expressions=expressions)
    assert texts[-1][0] == "“object 6”"


def test_no_target_is_said_and_rejected_masks_are_not_drawn(texts):
    image, masks = make_image(96, 96), make_masks(3, 96, 96)
    gt = masks & np.array([False, False, True])[:, None, None]
    page = draw_referring(
        image=image,
        expressions=["a", "b", "c"],
        gt_masks=torch.from_numpy(gt),
        pred_masks=torch.from_numpy(masks & np.array([True, True, False])[:, None, None]),
        rejected=torch.tensor([True, False, False]),
    )
    said = [text for text, _ in texts[4:]]
    assert said == (
        ["IoU 100.0", "“a”", "no target", "no target"]
        + ["IoU 0.0", "“b”", "no target"]
        + ["IoU 0.0", "“c”", "empty mask"]
    )
    last = panels.draw_panel(image=image, mask=gt[2], color=panels.GT_COLOR, size=(240, 240))
    np.testing.assert_array_equal(page[-254:-14, 14:254], last)


@pytest.mark.parametrize("with_gt", [True, False])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (15, 20), (900, 100), (20, 2000)])
@pytest.mark.parametrize("panel_width", [160, 480])
def test_every_text_stays_on_the_page_and_apart_from_the_iou(texts, height, width, panel_width, with_gt):
    expressions = ["cat", "x" * 300, "the third man from the left " * 9, "l'été\nde   Zoë"]
    masks = np.zeros((4, height, width), bool)
    page = draw_referring(
        image=make_image(height, width),
        expressions=expressions,
        gt_masks=masks if with_gt else None,
        pred_masks=masks,
        panel_width=panel_width,
    )
    scores = [box for text, box in texts if text.startswith("IoU")]
    captions = [box for text, box in texts if text[0] == "“" or text[-1] == "”"]
    assert len(scores) == (4 if with_gt else 0)
    for _, (left, top, right, bottom) in texts:
        assert 0 <= left < right <= page.shape[1]
        assert 0 <= top < bottom <= page.shape[0]
    for score in scores:
        assert all(box[2] < score[0] or score[2] < box[0] or not meet(box, score) for box in captions)
    assert any(text.endswith("…”") for text, _ in texts)
    assert "“l'été de Zoë”" in [text for text, _ in texts]


def test_arrays_that_do_not_fit_are_refused():
    image, masks = make_image(20, 30), make_masks(2, 20, 30)
    with pytest.raises(DataError, match="pred_masks must have shape"):
        draw_referring(image=image, expressions=["a"], gt_masks=None, pred_masks=masks)
    with pytest.raises(DataError, match="uint8"):
        draw_referring(image=image / 255, expressions=["a", "b"], gt_masks=None, pred_masks=masks)
    with pytest.raises(DataError, match="nothing to draw"):
        draw_referring(image=image, expressions=["a", "b"], gt_masks=None, pred_masks=None)
    with pytest.raises(DataError, match="rejected"):
        draw_referring(
            image=image, expressions=["a", "b"], gt_masks=None, pred_masks=masks, rejected=np.ones(1, bool)
        )
    with pytest.raises(ConfigError):
        ReferringVisualizer(max_expressions=0)


def test_add_datasample_writes_the_file_or_hands_the_page_to_the_backends(tmp_path):
    visualizer = VISUALIZERS.build(
        dict(
            type="ReferringVisualizer",
            name="test",
            vis_backends=[dict(type="LocalVisBackend")],
            save_dir=str(tmp_path),
        )
    )
    image, sample = make_image(30, 40), make_sample(2, 30, 40)
    both = draw_referring(
        image=image,
        expressions=["object 0", "object 1"],
        gt_masks=sample.gt_instances.masks,
        pred_masks=sample.pred_instances.masks,
    )
    visualizer.add_datasample("val", image, sample, step=3)
    page = np.array(Image.open(tmp_path / "vis_data" / "vis_image" / "val_3.png"))
    np.testing.assert_array_equal(page, both)

    visualizer.add_datasample(
        "val", image, sample, draw_gt=False, out_file=str(tmp_path / "a" / "b" / "c.jpg")
    )
    with Image.open(tmp_path / "a" / "b" / "c.jpg") as file:
        assert file.format == "JPEG"
        assert file.size[0] < both.shape[1]


@pytest.mark.parametrize(
    ("total", "count"), [(1, 1), (3, 2), (5, 4), (100, 12), (1500, 12), (7, 12), (9, None)]
)
def test_spread_indices(total, count):
    chosen = sorted(spread_indices(total=total, count=count))
    assert len(chosen) == min(total, count or total)
    edges = [-1, *chosen, total]
    assert max(np.diff(edges)) <= total / len(chosen) + 1
    assert chosen[0] >= 0
    assert chosen[-1] < total


def test_hook_draws_spread_images_once(tmp_path):
    samples = []
    for index in range(10):
        path = tmp_path / f"image_{index}.jpg"
        Image.fromarray(make_image(24, 32)).save(path)
        meta = dict(img_path=str(path), img_id=index, dataset="refcoco+", split="testA")
        samples.append(make_sample(1, 24, 32, **meta))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=range(10), batch_size=4))
    hook = HOOKS.build(
        dict(type="ReferringVisualizationHook", out_dir=str(tmp_path / "out"), num_images=2, draw_gt=False)
    )
    for _ in range(2):
        hook.before_test(runner)
        for start in range(0, 10, 4):
            hook.after_test_iter(runner, start // 4, outputs=samples[start : start + 4])
        hook.after_test_iter(runner, 3, outputs=[samples[2]])  # as a padded distributed run repeats samples
        names = ["refcoco+_testA_2_image_2.png", "refcoco+_testA_7_image_7.png"]
        assert hook.written == [str(tmp_path / "out" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_images_of_one_name_in_two_folders_get_two_pictures(tmp_path):
    samples = []
    for index, place in enumerate(("cam1/a", "cam2/a", "cam1/b", "cam2/b")):
        path = tmp_path / f"{place}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(make_image(24, 32)).save(path)
        samples.append(make_sample(1, 24, 32, img_path=str(path), img_id=index, dataset="x", split="val"))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=range(4), batch_size=4))
    ReferringVisualizationHook(out_dir=str(tmp_path / "out")).after_test_iter(runner, 0, outputs=samples)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_hook_without_folder_does_nothing():
    hook = ReferringVisualizationHook()
    hook.after_test_iter(None, 0, outputs=[SegDataSample()])
    assert hook.written == []
    with pytest.raises(ConfigError):
        ReferringVisualizationHook(num_images=0)

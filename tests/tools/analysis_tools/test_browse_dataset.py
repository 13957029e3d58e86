import json

import numpy as np
from PIL import Image

TOOL, CONFIG = "tools/analysis_tools/browse_dataset.py", "configs/mllmseg/internvl_tiny_toy.py"


def test_pages_and_a_contact_sheet(run_tool, small_toy, tmp_path):
    root = f"data_root={small_toy}"
    result = run_tool(TOOL, CONFIG, "--out", tmp_path / "pages", "--num", "3", "--cfg-options", root)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'pages'}: 3 of 24 samples\n"
    pages = sorted((tmp_path / "pages").glob("toy_refcoco_train_*.png"))
    assert len(pages) == 3
    result = run_tool(
        *(TOOL, CONFIG, "--out", tmp_path / "sheet", "--part", "test", "--num", "2", "--sheet"),
        *("--cfg-options", root),
    )
    assert result.returncode == 0, result.stderr
    sheet = np.array(Image.open(tmp_path / "sheet" / "sheet.png"))
    blue = (np.abs(sheet.astype(int) - (0, 114, 178)) < 30).all(axis=2)  # swatches, contours
    half = sheet.shape[1] // 4
    assert blue[:, :half].any()
    assert blue[:, half : 2 * half].any()


def test_an_unknown_folder(run_tool, tmp_path):
    result = run_tool(TOOL, CONFIG, "--out", tmp_path, "--cfg-options", "data_root=absent")
    assert result.returncode == 1
    assert result.stderr.startswith("error: absent: the data folder does not exist")


def test_images_of_one_name_in_folders_with_brackets(run_tool, tmp_path):
    root = tmp_path / "mine[v2]"
    files = [f"{folder}/0001.jpg" for folder in ("cam1", "cam2")]
    for file in files:
        (root / "images" / file).parent.mkdir(parents=True)
        Image.new("RGB", (96, 96), "white").save(root / "images" / file)
    images = [
        dict(id=k, file_name=file, width=96, height=96, split="train") for k, file in enumerate(files, 1)
    ]
    corners = [[30, 30, 60, 30, 60, 60, 30, 60]]
    annotations = [dict(id=k, image_id=k, segmentation=corners, expressions=["red square"]) for k in (1, 2)]
    (root / "annotations.json").write_text(json.dumps(dict(images=images, annotations=annotations)))
    config = "configs/mllmseg/internvl_tiny_custom.py"
    result = run_tool(TOOL, config, "--out", tmp_path / "a[b]", "--cfg-options", f"data_root={root}")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'a[b]'}: 2 of 2 samples\n"
    names = sorted(path.name for path in (tmp_path / "a[b]").iterdir())
    assert names == ["mine[v2]_train_1_0001.png", "mine[v2]_train_2_0001.png"]

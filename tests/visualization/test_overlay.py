import numpy as np

from mmseg_mllm.visualization.overlay import color_of


def test_each_of_many_has_a_colour_of_its_own():
    colors = np.array([color_of(index) for index in range(32)], float)
    assert colors.min() >= 0
    assert colors.max() <= 255
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert apart[~np.eye(32, dtype=bool)].min() > 20

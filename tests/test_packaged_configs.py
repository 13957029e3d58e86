from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.packaged_configs import config_names, config_path, copied_text

CONFIGS = Path(__file__).parents[1] / "configs"


def test_all_experiments_are_there():
    wanted = [path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("[!_]*/*.py")]
    assert config_names() == sorted(wanted)
    assert config_path("mllmseg/internvl_tiny_toy").samefile(CONFIGS / "mllmseg/internvl_tiny_toy.py")
    for name in ("nothing.py", "../setup.py", "/etc/passwd", "mllmseg", ""):
        with pytest.raises(ConfigError, match="no such config"):
            config_path(name)


@pytest.mark.parametrize("name", config_names())
def test_a_copy_elsewhere_says_the_same(tmp_path, name):
    copy = tmp_path / "copy.py"
    copy.write_text(copied_text(name))
    read = [Config.fromfile(path, import_custom_modules=False).to_dict() for path in (copy, CONFIGS / name)]
    assert read[0] == read[1]


def test_own_configs_inherit_by_name(tmp_path):
    for base, kept in (("mllmseg/internvl_tiny_toy.py", "MLLMSegmentor"), ("_base_/schedules/tiny.py", None)):
        own = tmp_path / "own.py"
        own.write_text(f'_base_ = "mmseg_mllm::{base}"\ntrain_cfg = dict(max_iters=3)\n')
        config = Config.fromfile(own)
        assert config.train_cfg.max_iters == 3
        assert config.train_cfg.val_interval == Config.fromfile(CONFIGS / base).train_cfg.val_interval
        assert config.get("model", {}).get("type") == kept
    assert "_scope_" not in config.to_dict()
    own.write_text('_base_ = "mmseg_mllm::mllmseg/nothing.py"')
    with pytest.raises(ConfigError, match=r"mllmseg/nothing\.py: no such config in the package"):
        Config.fromfile(own)

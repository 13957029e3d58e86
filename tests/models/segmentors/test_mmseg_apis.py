import pytest
from helpers.tiny_model import tiny_config
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, init_model

from mmseg_mllm.errors import ConfigError


@pytest.mark.parametrize("api", [init_model, MMSegInferencer])
def test_what_to_use_is_told(api):
    config = Config(dict(model=tiny_config()))
    with pytest.raises(ConfigError, match=rf"^{api.__name__} of mmseg can't.*RESPredictor.*tools/test\.py"):
        api(config, device="cpu")

"""MMSegmentation's Python API beside a model that answers expressions."""

from mmseg_mllm.errors import ConfigError


class NotForMMSegAPIs:
    """Base of models that ``init_model`` and ``MMSegInferencer`` of mmseg can't run: says what can.

    Both ask a model for the classes of an image and have no place for expressions.
    """

    def __new__(cls, *args, **kwargs):
        if "pretrained" in kwargs:  # init_model adds it to any model's config
            _refuse("init_model")
        return super().__new__(cls)

    @property
    def cfg(self) -> None:
        """Where MMEngine's inferencers leave their config."""
        raise AttributeError("cfg")

    @cfg.setter
    def cfg(self, config) -> None:
        _refuse("MMSegInferencer")


def _refuse(what: str) -> None:
    raise ConfigError(
        f"{what} of mmseg can't ask expressions, and this config's model answers expressions: use "
        "mmseg_mllm.apis.RESPredictor.from_config(CONFIG, CHECKPOINT) in Python, python tools/test.py CONFIG "
        "CHECKPOINT for a data set"
    )

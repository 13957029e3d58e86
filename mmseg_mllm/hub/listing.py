"""What is in a repository, and which of its files a model needs: weights, config, tokenizer; never code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mmseg_mllm.conversion.folder_files import ORIGINAL_DIR
from mmseg_mllm.conversion.original_config import CONFIG_FILE
from mmseg_mllm.conversion.tensor_files import KINDS
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import SETTINGS_FILE

_SMALL_FILES = (
    CONFIG_FILE,
    SETTINGS_FILE,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)
_ORIGINAL_FILES = tuple(f"{ORIGINAL_DIR}/{name}" for name in _SMALL_FILES)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files of one commit.

    Attributes:
        commit: 40 hex digits.
        sizes: Bytes by path.
    """

    commit: str
    sizes: Mapping[str, int]

    @property
    def described(self) -> bool:
        """Whether it is a model folder that describes itself."""
        return SETTINGS_FILE in self.sizes and DECODE_HEAD_FILE in self.sizes

    @property
    def weights(self) -> list[str]:
        """Files with the base's weights in the preferred format; the index of sharded ones first."""
        for whole, index, shard in KINDS:
            if index in self.sizes:
                return [index, *sorted(path for path in self.sizes if re.fullmatch(shard, path))]
            if whole in self.sizes:
                return [whole]
        return []

    @property
    def needed(self) -> list[str]:
        """All files that are downloaded."""
        known = (*_SMALL_FILES, *_ORIGINAL_FILES, DECODE_HEAD_FILE)
        return [*(path for path in known if path in self.sizes), *self.weights]

    def bytes_of(self, paths: list[str]) -> int:
        """How large these files are together."""
        return sum(self.sizes[path] for path in paths)

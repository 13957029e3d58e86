"""The authors' checkpoint of a reference set, as a folder that the converter takes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from mmseg_mllm.golden.fill import fill_manifest
from mmseg_mllm.prompts import SPECIAL_TOKENS


def write_official_folder(manifest: Mapping[str, Any], folder: Path) -> None:
    """Write config, weights, and a tokenizer whose special tokens have the set's ids.

    Args:
        manifest: ``manifest_qwen2.json`` or ``manifest_internlm2.json``.
        folder: Made here.
    """
    folder.mkdir()
    save_file(fill_manifest(manifest), folder / "model.safetensors", metadata=dict(format="pt"))
    (folder / "config.json").write_text(json.dumps(manifest["config"]), encoding="utf-8")
    special = dict(manifest["special_tokens"])
    words = {i: f"word{i}" for i in range(manifest["config"]["llm_config"]["vocab_size"])}
    # Special tokens that the set does not use take ids of their own in the same vocabulary.
    spare = iter([i for i in words if i not in special.values()])
    special |= {token: next(spare) for token in SPECIAL_TOKENS if token not in special}
    words |= {i: token for token, i in special.items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({word: i for i, word in words.items()}, unk_token=words[0]))
    )
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.save_pretrained(folder)

"""A model in memory to a repository of the hub."""

import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from mmseg_mllm.conversion.save import save_model
from mmseg_mllm.hub.card import ModelCard
from mmseg_mllm.hub.refusals import told
from mmseg_mllm.models import MLLMSegmentor

OF_A_MODEL_BEFORE = ["*.safetensors", "*.safetensors.index.json"]


def push_model(
    model: MLLMSegmentor, name: str, *, token: str | None, private: bool | None, card: ModelCard
) -> str:
    """Upload a model folder and its card in one commit; weights of a model that was there before go.

    Arguments, result and errors are those of ``RESPredictor.push_to_hub``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        save_model(model, folder, readme=card.text(model, name=name))
        with told(name, None, doing="the upload broke off; push it again"):
            api = HfApi(token=token)
            api.create_repo(name, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=name,
                folder_path=folder,
                commit_message="Model of mmseg_mllm",
                delete_patterns=OF_A_MODEL_BEFORE,
            )
    return commit.commit_url

"""Image tokens that tell in words and numbers what their square shows."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from mmseg_mllm.toy.chat import SQUARES, UNTOLD, square_name
from mmseg_mllm.toy.vocabulary import COLOURS, SHAPES, SIZES

_WORDS = (tuple(COLOURS), SHAPES, SIZES)
_BOX_WEIGHT = 4.0


class SquareLosses(nn.Module):
    """Losses of image tokens against ``toy.chat.square_labels``.

    A token is to be like the embeddings of the words for colour, shape and size of the object that its square
    shows, and like the name of the square that the object's middle is in. The box is read by a linear layer.

    Args:
        width: Of image tokens and embeddings, C.
        tokenizer: Where each of those words is one token.
    """

    def __init__(self, *, width: int, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        # For each kind of word that there is none; and the box.
        self.read = nn.Linear(width, len(_WORDS) + 4)
        names = [square_name(row=row, column=column) for row in range(SQUARES) for column in range(SQUARES)]
        *self.word_ids, self.name_ids = (
            tokenizer.convert_tokens_to_ids([f"Ġ{word}" for word in kind]) for kind in (*_WORDS, names)
        )

    def forward(
        self, image_tokens: Tensor, embeddings: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the words, and mean distance of the boxes.

        Args:
            image_tokens: (B, SQUARES², C).
            embeddings: (vocabulary, C).
            data_samples: B samples with ``words`` and ``boxes``.
        """
        tokens = image_tokens.flatten(0, 1)
        none, boxes = self.read(tokens).split([len(_WORDS), 4], dim=1)
        labels = torch.cat([torch.from_numpy(sample.words) for sample in data_samples]).to(boxes.device)
        edges = torch.cat([torch.from_numpy(sample.boxes) for sample in data_samples]).to(boxes.device)
        words = 0.0
        for n, ids in enumerate(self.word_ids):
            logits = torch.cat([none[:, n : n + 1], tokens @ embeddings[ids].T], dim=1)
            words = words + F.cross_entropy(logits, labels[:, n] + 1, ignore_index=UNTOLD + 1)
        shows = labels[:, 1] >= 0
        columns, rows = ((edges[shows, :2] + edges[shows, 2:]) / 2 * SQUARES).long().unbind(1)
        words = words + F.cross_entropy(tokens[shows] @ embeddings[self.name_ids].T, rows * SQUARES + columns)
        return dict(words=words, boxes=_BOX_WEIGHT * F.l1_loss(boxes[shows], edges[shows]))

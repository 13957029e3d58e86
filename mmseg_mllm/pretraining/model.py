"""An MLLM that answers in text: what pretraining trains."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from mmengine.structures import BaseDataElement
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_mllm.models.backbones.sequence_layout import SequenceLayout
from mmseg_mllm.pretraining.language_start import start_by_likeness
from mmseg_mllm.pretraining.vision_start import start_like_convolutions
from mmseg_mllm.prompts import plain_branch, prompt_style
from mmseg_mllm.toy.vocabulary import COLOURS, SHAPES, SIZES

_WORDS = (tuple(COLOURS), SHAPES, SIZES)


@MODELS.register_module()
class MLLMChat(BaseModel):
    """Questions about an image as branches of one sequence, each answered in text.

    Args:
        backbone: Config of an ``MLLMBackbone``.
        data_preprocessor: Config of ``mmengine``'s ``ImgDataPreprocessor`` with the mean and std (0 to 255).
        prompt: Name of the style in ``prompts.PROMPT_STYLES`` whose chat format is used.
        with_text: Train the answers; otherwise the image tokens alone, which takes a fifth of the time.

    The image tokens are also trained to be like the words for the colour, shape and size of what their square
    shows, and to tell its box through a linear layer that is thrown away (see ``toy.chat.square_labels``).
    """

    def __init__(
        self, *, backbone: dict, data_preprocessor: dict, prompt: str = "short", with_text: bool = True
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.with_text = with_text
        self.prompt = prompt_style(prompt)
        self.backbone = MODELS.build(backbone)
        # For each kind of word that there is none; and the box.
        self.squares = nn.Linear(self.backbone.out_channels[1], len(_WORDS) + 4)
        tokenizer = self.backbone.tokenizer.tokenizer
        self.word_ids = [tokenizer.convert_tokens_to_ids([f"Ġ{word}" for word in kind]) for kind in _WORDS]

    def init_weights(self) -> None:
        """Start a model from random numbers; weights that are loaded replace them."""
        start_like_convolutions(self.backbone.model.model.vision_tower)
        start_by_likeness(self.backbone.model, self.backbone.tokenizer.tokenizer)

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One step of all optimisers; the loss is the mean over the answers' tokens."""
        data = self.data_preprocessor(data, True)
        losses = self(**data, mode="loss")
        optim_wrapper.zero_grad()
        losses["loss"].backward()
        for wrapper in optim_wrapper.values():
            wrapper.step()
        return losses

    def forward(
        self, inputs: Tensor, data_samples: Sequence[BaseDataElement], mode: str = "tensor"
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Logits (M, vocabulary) of the answers' tokens; 'loss': losses; 'predict': see there."""
        vision = self.backbone.see(inputs)
        losses = self._square_losses(vision.image_tokens, data_samples) if mode == "loss" else {}
        if not self.with_text and mode == "loss":
            return dict(loss=sum(losses.values()), **losses)
        layout = self._layout(inputs, data_samples)
        logits = self.backbone.answer_logits(vision, layout)
        if mode == "loss":
            text = F.cross_entropy(logits, layout.answer_ids)
            return dict(loss=text + sum(losses.values()), text=text, **losses)
        return self._predict(logits, layout, data_samples) if mode == "predict" else logits

    def _square_losses(
        self, image_tokens: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the words and mean distance of the boxes of what the squares show."""
        tokens = image_tokens.flatten(0, 1)
        none, boxes = self.squares(tokens).split([len(_WORDS), 4], dim=1)
        embeddings = self.backbone.model.get_input_embeddings().weight
        words = [
            torch.cat([none[:, n : n + 1], tokens @ embeddings[ids].T], dim=1)
            for n, ids in enumerate(self.word_ids)
        ]
        truth = torch.cat([torch.from_numpy(sample.words) for sample in data_samples]).to(boxes.device)
        edges = torch.cat([torch.from_numpy(sample.boxes) for sample in data_samples]).to(boxes.device)
        loss_words = sum(
            F.cross_entropy(logits, (labels + 1)) for logits, labels in zip(words, truth.T, strict=True)
        )
        shows = truth[:, 0] >= 0
        return dict(words=loss_words, boxes=4 * F.l1_loss(boxes[shows], edges[shows]))

    def _layout(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> SequenceLayout:
        turns = [[plain_branch(*turn) for turn in sample.turns] for sample in data_samples]
        prefix = self.prompt.prefix()
        return self.backbone.layout(prefix, turns, image_size=inputs.shape[-1], supervised=True)

    @staticmethod
    def _predict(
        logits: Tensor, layout: SequenceLayout, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add ``right`` to the samples: of each question, whether greedy writing gives the whole answer.

        It does exactly where each token is the likeliest after the true ones before it.
        """
        hits = (logits.argmax(dim=1) == layout.answer_ids.to(logits.device)).tolist()
        rows = layout.grid.image.tolist()
        places = {int(position): n for n, row in enumerate(layout.grid.tokens) for position in row}
        right = [True] * len(rows)
        for read, hit in zip(layout.answer_reads.tolist(), hits, strict=True):
            right[places[read]] &= hit
        for b, sample in enumerate(data_samples):
            sample.set_metainfo(dict(right=[ok for ok, image in zip(right, rows, strict=True) if image == b]))
        return list(data_samples)

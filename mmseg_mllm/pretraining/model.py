"""An MLLM that answers in text: what pretraining trains."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_mllm.models.backbones.sequence_layout import SequenceLayout
from mmseg_mllm.pretraining.language_start import start_by_likeness
from mmseg_mllm.pretraining.square_losses import SquareLosses
from mmseg_mllm.pretraining.vision_start import start_like_convolutions
from mmseg_mllm.prompts import prompt_style


@MODELS.register_module()
class MLLMChat(BaseModel):
    """Questions about an image as branches of one sequence, each answered in text.

    Args:
        backbone: Config of an ``MLLMBackbone``.
        data_preprocessor: Config of ``mmengine``'s ``ImgDataPreprocessor`` with the mean and std (0 to 255).
        prompt: Name of the style in ``prompts.PROMPT_STYLES`` whose system message is used.
        with_text: Train the answers, with a frozen vision tower; otherwise tower and image tokens alone.

    Text alone teaches a small model to write what is likely, not to look. So image tokens are trained to tell
    in words and numbers what their square shows (:class:`SquareLosses`); the detail map, where the tower is
    trained, to give back each patch's pixels; and where an answer is a box, the end of the question to point
    at the image token of the square that the answer begins with. What reads these out is thrown away.
    """

    def __init__(
        self, *, backbone: dict, data_preprocessor: dict, prompt: str = "short", with_text: bool = True
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.with_text = with_text
        self.prompt = prompt_style(prompt)
        self.backbone = MODELS.build(backbone)
        vision_width, width = self.backbone.out_channels
        self.squares = SquareLosses(width=width, tokenizer=self.backbone.tokenizer.tokenizer)
        self.pixels = nn.Conv2d(vision_width, 3 * self.backbone.patch_size**2, kernel_size=1)
        self.asked = nn.Linear(width, width)
        self.seen = nn.Linear(width, width)

    def init_weights(self) -> None:
        """Start a model from random numbers; weights that are loaded replace them."""
        start_like_convolutions(self.backbone.model.model.vision_tower)
        start_by_likeness(self.backbone.model, self.backbone.tokenizer.tokenizer)

    def forward(
        self, inputs: Tensor, data_samples: Sequence[BaseDataElement], mode: str = "tensor"
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Logits (M, vocabulary) of the answers' tokens; 'loss': losses; 'predict': see there."""
        vision = self.backbone.see(inputs)
        losses = {}
        if mode == "loss":
            words = self.backbone.model.get_input_embeddings().weight
            losses = self.squares(vision.image_tokens, words, data_samples)
            if not self.with_text:
                told = F.pixel_shuffle(self.pixels(vision.detail), self.backbone.patch_size)
                losses["pixels"] = 8 * F.mse_loss(told, inputs)
                return dict(loss=sum(losses.values()), **losses)
        layout = self._layout(inputs, data_samples).to(inputs.device)
        hidden = self.backbone.hidden_states(vision, layout)
        logits = self.backbone.answer_logits(hidden, layout)
        if mode == "predict":
            return _predict(logits, layout, data_samples)
        if mode == "loss":
            losses["text"] = F.cross_entropy(logits, layout.answer_ids)
            losses["pointing"] = self._pointing(hidden, layout, data_samples)
            return dict(loss=sum(losses.values()), **losses)
        return logits

    def _layout(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> SequenceLayout:
        turns = [sample.turns for sample in data_samples]
        return self.backbone.layout(self.prompt.system, turns, image_size=inputs.shape[-1], supervised=True)

    def _pointing(
        self, hidden: Tensor, layout: SequenceLayout, data_samples: Sequence[BaseDataElement]
    ) -> Tensor:
        """Cross-entropy of the square that an answer begins with, from the end of its question."""
        squares = torch.tensor([s for sample in data_samples for s in sample.squares], device=hidden.device)
        with_square = squares >= 0
        starts = layout.grid.tokens[with_square, 0]
        ends = layout.answer_reads[torch.searchsorted(layout.answer_reads, starts)]
        seen = self.seen(hidden[layout.image_positions])[layout.grid.image[with_square]]
        logits = torch.einsum("nc,ntc->nt", self.asked(hidden[ends]), seen) / hidden.shape[1] ** 0.5
        return F.cross_entropy(logits, squares[with_square])


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

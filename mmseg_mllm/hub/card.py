"""The page of a model on the hub: what it is, what it was trained on, how it is used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from huggingface_hub import EvalResult, ModelCardData

from mmseg_mllm.input_size import size_text
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.segmentors.protocols import protocol_of

TASK = "image-segmentation"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What its owner knows of a model.

    Attributes:
        base: Hub name of the MLLM that it was trained from, such as 'OpenGVLab/InternVL2_5-1B'.
        data: Names of the data sets that it was trained on.
        figures: Per data set and split ('RefCOCO val') the measures by name ('cIoU').
        protocol: That the figures were made by; the model's own by default.
    """

    base: str | None = None
    data: Sequence[str] = ()
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    protocol: str | None = None

    def text(self, model: MLLMSegmentor, *, name: str) -> str:
        """README.md of a repository with this model.

        Args:
            model: That it is about.
            name: Of the repository or folder.
        """
        metadata = ModelCardData(
            base_model=self.base,
            datasets=list(self.data) or None,
            library_name="mmseg_mllm",
            pipeline_tag=TASK,
            tags=["referring-segmentation", "mmsegmentation"],
            model_name=name if self.figures else None,
            eval_results=self._results() or None,
        )
        rows = "\n".join(f"| {what} | {value} |" for what, value in self._facts(model).items())
        return (
            f"---\n{metadata.to_yaml()}\n---\n\n# {name}\n\n"
            "A mask for what a sentence describes: a multimodal LLM with the mask decoder of MLLMSeg "
            "(arXiv 2508.04107), for the Python package mmseg_mllm.\n\n"
            "```python\nfrom mmseg_mllm.apis import RESPredictor\n\n"
            f'predictor = RESPredictor.from_pretrained("{name}")\n'
            'predictor.set_image("photo.jpg")\nmask = predictor.segment("the man in red")[0].mask\n```\n\n'
            f"| | |\n|---|---|\n{rows}\n{self._figures(model)}"
        )

    def _facts(self, model: MLLMSegmentor) -> dict[str, str]:
        config = model.backbone.model.config
        parameters = sum(parameter.numel() for parameter in model.parameters())
        of_head = sum(parameter.numel() for parameter in model.decode_head.parameters())
        known = {
            "Base": self.base or config.model_type,
            "Language model": f"{config.text_config.model_type}, width {config.text_config.hidden_size}",
            "Parameters": f"{parameters:,}, {of_head:,} of them in the mask decoder",
            "Input": f"{size_text(model.backbone.image_size)} pixels",
            "Asked by protocol": model.protocol.says,
            "Trained on": ", ".join(self.data),
        }
        return {what: value for what, value in known.items() if value}

    def _figures(self, model: MLLMSegmentor) -> str:
        if not self.figures:
            return ""
        lines = [
            f"| {data} | {measure} | {value:g} |"
            for data, measures in self.figures.items()
            for measure, value in measures.items()
        ]
        protocol = protocol_of(self.protocol) if self.protocol else model.protocol
        head = f"\nFigures, by protocol {protocol.says}:\n\n| Data | Measure | Value |\n|---|---|---|\n"
        return head + "\n".join(lines) + "\n"

    def _results(self) -> list[EvalResult]:
        return [
            EvalResult(
                task_type=TASK,
                dataset_type=data.split()[0].lower(),
                dataset_name=data,
                metric_type=measure.lower(),
                metric_name=measure,
                metric_value=value,
            )
            for data, measures in self.figures.items()
            for measure, value in measures.items()
        ]

"""What a project of Label Studio labels, by its labeling configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from mmseg_mllm.datasets.limits import MAX_TEXT, check_limit
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.prompts import clean_expression, expression_problem

BRUSH, POLYGON, TEXT_AREA = "BrushLabels", "PolygonLabels", "TextArea"


@dataclass(frozen=True, kw_only=True)
class Labeling:
    """A labeling configuration.

    Attributes:
        image_name: Of the image's tag.
        image_key: Under which a task holds the image.
        control: Kind of the tag that takes the masks, ``BRUSH`` or ``POLYGON``.
        control_name: Its name.
        labels: Each label with the sentences that ask for it.
        text_areas: Name of each field for sentences, with the key under which tasks hold its text; '' for
            none.
    """

    image_name: str
    image_key: str
    control: str
    control_name: str
    labels: Mapping[str, list[str]]
    text_areas: Mapping[str, str]

    @classmethod
    def of(cls, xml: object) -> "Labeling":
        """Read a configuration.

        Raises:
            ConfigError: it is no XML, or lacks an image or labels to give masks.
        """
        if not isinstance(xml, str):
            raise ConfigError("the request has no labeling configuration")
        try:
            tags = list(ElementTree.fromstring(xml).iter())
        except (ElementTree.ParseError, ValueError) as error:
            raise ConfigError(f"the labeling configuration is no XML ({error})") from None
        image = next((tag for tag in tags if tag.tag == "Image"), None)
        if image is None or not image.get("name") or not image.get("value", "").startswith("$"):
            raise ConfigError(
                'the labeling configuration has no image; give it <Image name="image" value="$image"/>'
            )
        about = [tag for tag in tags if tag.get("toName") == image.get("name") and tag.get("name")]
        control = next((tag for tag in about if tag.tag in (BRUSH, POLYGON)), None)
        labels = {} if control is None else dict(_labels(control))
        if not labels:
            raise ConfigError(
                f"the labeling configuration has no {BRUSH} or {POLYGON} with a Label in it for the image "
                f"{image.get('name')!r}"
            )
        fields = {tag.get("name"): tag.get("value", "") for tag in about if tag.tag == TEXT_AREA}
        return cls(
            image_name=image.get("name"),
            image_key=image.get("value")[1:],
            control=control.tag,
            control_name=control.get("name"),
            labels=labels,
            text_areas={name: value[1:] if value.startswith("$") else "" for name, value in fields.items()},
        )

    def asked(self, data: Mapping[str, Any], context: object) -> list[tuple[str, str]]:
        """What is asked of a task, each sentence with its label.

        What an annotator has written counts alone; else what the task holds for the text areas; else the
        sentences of all labels.

        Args:
            data: Of the task.
            context: What the annotator did, as Label Studio says it; None where nobody asks.

        Raises:
            DataError: a text is no sentence, or the annotator wrote none.
        """
        if context is not None:
            texts = _written(context, self.text_areas)
            if not texts:
                raise DataError("nothing is asked: write a sentence into the text area of the labeling page")
        else:
            texts = [text for key in self.text_areas.values() for text in _texts(data.get(key))]
        asked = [(text, self._label_of(text)) for text in texts] or [
            (text, label) for label, sentences in self.labels.items() for text in sentences
        ]
        for text, _ in asked:
            problem = expression_problem(text)
            if problem:
                raise DataError(f"this sentence {problem}: {text!r:.200}")
            check_limit(f"the sentence {text!r:.60} has", len(text), MAX_TEXT, unit="characters")
        return asked

    def _label_of(self, text: str) -> str:
        """The label that asks so, else the longest one that is named in the text, else the first."""
        words = f" {' '.join(clean_expression(text).split())} "
        for label, sentences in self.labels.items():
            if words.strip() in (clean_expression(sentence) for sentence in (label, *sentences)):
                return label
        named = [label for label in self.labels if f" {clean_expression(label)} " in words]
        return max(named, key=len) if named else next(iter(self.labels))


def _labels(control: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    for tag in control.iter("Label"):
        value = tag.get("value", "")
        if not value:
            continue
        sentences = [text.strip() for text in tag.get("predicted_values", "").split(",") if text.strip()]
        yield tag.get("alias") or value, sentences or [value]


def _written(context: object, names: Mapping[str, str]) -> list[str]:
    """Texts of the regions in a context that belong to text areas."""
    regions = context.get("result") if isinstance(context, dict) else None
    found: list[str] = []
    for region in regions if isinstance(regions, list) else []:
        value = region.get("value") if isinstance(region, dict) else None
        if isinstance(value, dict) and region.get("from_name") in names:
            found += _texts(value.get("text"))
    return found


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]

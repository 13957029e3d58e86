"""Metrics of referring segmentation, comprehension and generalised referring segmentation."""

from collections.abc import Sequence

from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.counts import ImageCounts, count_image
from mmseg_mllm.evaluation.figures import (
    gres_figures,
    reasoning_figures,
    rec_figures,
    res_figures,
    rotated_figure,
)
from mmseg_mllm.evaluation.rejection import LISA, REJECTIONS
from mmseg_mllm.evaluation.report import ResultRow, table_text
from mmseg_mllm.evaluation.sums import Sums
from mmseg_mllm.evaluation.tally import Group, Tally, merged


@METRICS.register_module()
class RESMetric(BaseMetric):
    """Figures of each dataset and split in the test set, in percent.

    A split in which every expression has a target is scored as RES, and as REC where there are boxes; a split
    with at least one expression without a target as GRES.

    RES: cIoU, the sum of intersections over the sum of unions; mIoU, the mean over expressions of their IoU,
    which is 1 where prediction and target are both empty; 'gIoU per image', MLLMSeg's gIoU of RES, the mean
    over images of their mean IoU; Pr@X, the share of expressions whose IoU is above X. Verdicts play no part.

    REC: Acc@0.5, the share of expressions whose predicted and annotated boxes have an IoU above 0.5, and the
    mean box IoU.

    GRES: gIoU, the mean over expressions of their IoU, which is 1 for an expression without a target that was
    rejected and 0 for one that was not; cIoU, where the former adds nothing and the latter its mask to the
    unions; N-acc, the share of expressions without a target that were rejected; T-acc, the share of
    expressions with a target that were not; Pr@X over expressions with a target.

    ReasonSeg, in place of all these where ``rejection`` is 'lisa': gIoU, the mean over expressions of their
    IoU, and cIoU, both of the masks alone; an expression without a target has IoU 1 where its mask is empty,
    else 0 and its mask in the unions.

    Pixels that a target leaves out of account are in no intersection, union or mask.

    Only sums are kept, so memory does not grow with the test set. They are of whole pixels or exact, so any
    number of processes gives the same figures. Images that mmengine's ``DefaultSampler`` adds to even out
    processes are not counted; the test dataloader needs that sampler.

    Args:
        rotate_expressions: Also score each expression's mask against the target of the next object of its
            image, a control: a model that reads the expressions must fall far below its own score.
            Masks are taken as they were drawn, whatever the verdict. Images with fewer than two targets and
            expressions without one are left out of it.
        rejection: What GRES does with a target that was wrongly rejected. 'paper': its mask counts, as in
            MLLMSeg; 'strict': it has no mask. 'lisa': every split is scored as ReasonSeg.

    Raises:
        ConfigError: the rejection is unknown.
    """

    default_prefix = ""

    def __init__(self, *, rotate_expressions: bool = False, rejection: str = "paper") -> None:
        super().__init__()
        if rejection not in REJECTIONS:
            raise ConfigError(f"unknown rejection {rejection!r}; there are {', '.join(REJECTIONS)}")
        self.rotate_expressions = rotate_expressions
        self.rejection = rejection
        self.rows: list[ResultRow] = []
        self.tally = Tally()

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Count each image; see :func:`count_image` for what a sample holds."""
        for sample in data_samples:
            self.add(count_image(sample, rotate=self.rotate_expressions))

    def add(self, image: ImageCounts) -> None:
        """Add an image that was counted."""
        self.tally.add(image)

    def evaluate(self, size: int) -> dict[str, float]:
        """Figures of what all processes were given, and a new start.

        Args:
            size: Images of the test set.

        Raises:
            ConfigError: the images were not dealt out as ``DefaultSampler`` does.
        """
        tallies, self.tally = all_gather_object(self.tally), Tally()
        return self.compute_metrics(merged(tallies, size=size))

    def compute_metrics(self, results: dict[Group, Sums]) -> dict[str, float]:
        """Figures and counts by ``dataset/split/name``; ``self.rows`` keeps them for a report.

        Names are plain for RES ('cIoU') and start with the task for others ('REC Acc@0.5', 'GRES gIoU').
        """
        self.rows = [row for group, sums in results.items() for row in self._rows(group, sums)]
        print_log(f"\n{table_text(self.rows)}", logger="current")
        return {
            f"{row.dataset}/{row.split}/{'' if row.task == 'RES' else f'{row.task} '}{name}": value
            for row in self.rows
            for name, value in {**row.figures, **row.counts}.items()
        }

    def _rows(self, group: Group, sums: Sums) -> list[ResultRow]:
        """Rows of one dataset split that was asked in one way."""
        dataset, split, protocol = group
        names = dict(dataset=dataset, split=split)
        counts = dict(images=sums.images, objects=sums.objects, expressions=sums.expressions)
        control = rotated_figure(sums) if self.rotate_expressions else {}
        if self.rejection == LISA or sums.without_target:
            counts["no target"] = sums.without_target
            protocol += f", rejection: {self.rejection}"
        if self.rejection == LISA:
            figures = reasoning_figures(sums) | control
            return [ResultRow(task="ReasonSeg", **names, protocol=protocol, counts=counts, figures=figures)]
        if sums.without_target:
            figures = gres_figures(sums, strict=self.rejection == "strict") | control
            return [ResultRow(task="GRES", **names, protocol=protocol, counts=counts, figures=figures)]
        figures = res_figures(sums) | control
        rows = [ResultRow(task="RES", **names, protocol=protocol, counts=counts, figures=figures)]
        if sums.boxes == sums.expressions:
            figures = rec_figures(sums)
            rows.append(ResultRow(task="REC", **names, protocol=protocol, counts=counts, figures=figures))
        return rows

"""Share of questions answered right, by kind."""

from collections import Counter
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from rich.console import Console
from rich.table import Table


@METRICS.register_module()
class AnswerMetric(BaseMetric):
    """Percent of answers that are right to the last token, for each kind of question and over all."""

    default_prefix = "answers"

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Take samples with ``kinds`` and ``right`` (bool) of their questions."""
        for sample in data_samples:
            self.results.append(list(zip(sample["kinds"], sample["right"], strict=True)))

    def compute_metrics(self, results: list[list[tuple[str, bool]]]) -> dict[str, float]:
        """Kind -> percent, and 'all'."""
        answers = [answer for sample in results for answer in sample]
        asked = Counter(kind for kind, _ in answers)
        right = Counter(kind for kind, is_right in answers if is_right)
        shares = {kind: 100 * right[kind] / number for kind, number in asked.items()}
        shares["all"] = 100 * right.total() / len(answers)
        table = Table(title="answers that are right to the last token, percent", title_justify="left")
        for name in ("kind", "questions", "right"):
            table.add_column(name, justify="left" if name == "kind" else "right")
        for kind, share in shares.items():
            table.add_row(kind, f"{asked.get(kind, len(answers)):,}", f"{share:.1f}")
        console = Console(width=100, no_color=True, force_terminal=False)
        with console.capture() as capture:
            console.print(table)
        print_log(f"\n{capture.get()}", logger="current")
        return shares

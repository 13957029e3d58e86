"""One's own data: a COCO-style JSON whose annotations have expressions."""

from collections.abc import Sequence
from pathlib import Path

from mmseg.registry import DATASETS

from mmseg_mllm.datasets.refcoco import RefCOCODataset
from mmseg_mllm.datasets.refer import ReferFiles
from mmseg_mllm.datasets.referring_json import load_referring_json
from mmseg_mllm.errors import DataError


@DATASETS.register_module()
class ReferringJSONDataset(RefCOCODataset):
    """Images, annotations and expressions in one JSON file; docs/custom_data.md defines it.

    Expressions may have one target, several, or none. Samples are those of :class:`RefCOCODataset`, where an
    expression with pixels that are not counted has ``ignore_ids`` (tuple) too; the whole file is checked,
    whichever split is read.

    Args:
        ann_file: The JSON file.
        split: One split name or several; may be left out where the file holds only one.
        data_root: Folder that the other paths are relative to.
        data_prefix: ``dict(img_path=...)``, the folder of the images; ``data_root`` by default.
        dataset_name: Name in reports; the folder of the JSON file by default.
        upright: Turn images as their EXIF orientation says, as labelling tools show them. By default what
            ``info.upright`` of the file says, and True where it says nothing.
        kwargs: As for ``mmengine.dataset.BaseDataset``.

    Raises:
        DataError: the file is missing, broken or contradicts itself (see :func:`load_referring_json`), has no
            such split, or has several while none was asked for; or ``upright`` is not what it says.
    """

    may_lack_target = True

    def __init__(
        self,
        *,
        ann_file: str,
        split: str | Sequence[str] | None = None,
        data_root: str = "",
        dataset_name: str | None = None,
        upright: bool | None = None,
        **kwargs,
    ) -> None:
        self.upright_asked, self.upright = upright, upright is not False
        super().__init__(
            ann_file=ann_file,
            # The same file holds annotations and expressions, and errors name it for both.
            split_file=ann_file,
            split=[] if split is None else split,
            data_root=data_root,
            dataset_name=dataset_name or Path(data_root, ann_file).absolute().parent.name,
            **kwargs,
        )

    def _ignored_ids(self, ref: dict) -> tuple[int, ...]:
        return tuple(ref["ignore_ids"])

    def read_files(self) -> ReferFiles:
        files = load_referring_json(self.ann_file)
        if self.upright_asked is not None and files.upright not in (None, self.upright):
            meant = "turned as their EXIF says" if files.upright else "as stored"
            raise DataError(
                f"{self.ann_file}: its `info` has `upright` {str(files.upright).lower()} (masks are for "
                f"images {meant}), but the config has upright={self.upright}. Take it "
                "out there, or mend the file"
            )
        if not self.split:
            self.split = files.splits()
            if len(self.split) > 1:
                raise DataError(
                    f"{self.ann_file}: holds the splits {', '.join(self.split)}; say in the config which are "
                    "meant, such as split='train'"
                )
        return files

"""Referring datasets in the REFER layout: one sample is one image with all its expressions."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS

from mmseg_mllm.datasets.masks import shape_fault
from mmseg_mllm.datasets.refer import ReferFiles, annotation_ids, load_refer, refs_file
from mmseg_mllm.errors import DataError
from mmseg_mllm.prompts import expression_problem


@DATASETS.register_module()
class RefCOCODataset(BaseDataset):
    """RefCOCO, RefCOCO+ and RefCOCOg.

    One sample is an image with every expression that the split has for it, in the order of the refs file;
    no ref and no sentence is dropped.

    Args:
        data_root: Folder that the other paths are relative to.
        ann_file: COCO ``instances.json``.
        split_file: ``refs(*).p`` or ``grefs(*).json``; the other ending is tried where it is missing.
        data_prefix: ``dict(img_path=...)``, the folder of the images.
        split: One split name or several; with several, an image that occurs in two is two samples.
        dataset_name: Name in reports; the folder of ``ann_file`` by default ('refcoco+').
        kwargs: As for ``mmengine.dataset.BaseDataset`` (``pipeline``, ``test_mode``, ``indices``, ...).

    Each sample holds ``img_path``, ``img_id``, ``height``, ``width`` (pixels), ``upright`` (False: as in the
    papers' code, images are as stored, whatever their EXIF orientation, unless ``info.upright`` of
    ``ann_file`` is true), ``dataset``, ``split``,
    ``annotations`` (annotation id -> ``segmentation``, ``bbox`` xywh) and ``expressions``, a list of dicts
    ``text`` (str), ``sent_id``, ``ref_id`` and ``ann_ids`` (tuple, empty for no target).

    Raises:
        DataError: a file is missing or broken, a split does not exist, an id points nowhere, a shape is seen
            to cover no pixel, or an expression has no words or holds a control token.
    """

    METAINFO: ClassVar[dict] = dict(task="referring")
    may_lack_target = False
    may_cover_nothing = False
    upright = False

    def __init__(
        self,
        *,
        ann_file: str,
        split_file: str,
        split: str | Sequence[str],
        data_root: str = "",
        data_prefix: dict | None = None,
        dataset_name: str | None = None,
        **kwargs,
    ) -> None:
        self.split_file = split_file
        self.split = [split] if isinstance(split, str) else list(split)
        self.dataset_name = dataset_name or Path(ann_file).parent.name
        if data_root and not Path(data_root).is_dir():
            raise DataError(
                f"{data_root}: the data folder does not exist. Set data_root in the config (or with "
                "--cfg-options) to the folder of your data; see docs/datasets.md and docs/custom_data.md"
            )
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix or dict(img_path=""),
            **kwargs,
        )

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.split_file = str(refs_file(Path(self.data_root or "", self.split_file)))

    def read_files(self) -> ReferFiles:
        """Read what all splits hold."""
        return load_refer(ann_file=self.ann_file, split_file=self.split_file)

    def load_data_list(self) -> list[dict]:
        files = self.read_files()
        if files.upright is not None:
            self.upright = files.upright
        samples = []
        for split in self.split:
            if split not in files.splits():
                raise DataError(
                    f"{self.split_file}: no split {split!r}; it has {', '.join(files.splits()) or 'no refs'}"
                )
            samples += self._samples_of(files, split)
        return samples

    def _samples_of(self, files: ReferFiles, split: str) -> list[dict]:
        samples: dict[int, dict] = {}
        for ref in files.refs:
            if ref["split"] != split:
                continue
            sample = samples.get(ref["image_id"])
            if sample is None:
                sample = samples[ref["image_id"]] = self._empty_sample(files, ref, split)
            ids = self._checked_ids(files, ref)
            ignored = self._ignored_ids(ref)
            for i in (*ids, *ignored):
                annotation = files.annotations[i]
                sample["annotations"][i] = {
                    key: annotation.get(key) for key in ("segmentation", "bbox", "area", "category_id")
                }
            for sentence in ref["sentences"]:
                sample["expressions"].append(
                    dict(
                        text=self._checked_text(sentence, ref),
                        sent_id=sentence["sent_id"],
                        ref_id=ref["ref_id"],
                        ann_ids=ids,
                        **(dict(ignore_ids=ignored) if ignored else {}),
                    )
                )
        return list(samples.values())

    def _empty_sample(self, files: ReferFiles, ref: dict, split: str) -> dict:
        image = files.images.get(ref["image_id"])
        if image is None:
            raise DataError(
                f"{self.split_file}: ref {ref['ref_id']} names image {ref['image_id']}, which "
                f"{self.ann_file} does not have; the two files don't belong together"
            )
        return dict(
            # From the image's own record: the suffix in a ref's file_name is another number.
            img_path=str(Path(self.data_prefix["img_path"], image["file_name"])),
            img_id=image["id"],
            height=image["height"],
            width=image["width"],
            upright=self.upright,
            dataset=self.dataset_name,
            split=split,
            annotations={},
            expressions=[],
            **(dict(may_cover_nothing=True) if self.may_cover_nothing else {}),
        )

    def _checked_ids(self, files: ReferFiles, ref: dict) -> tuple[int, ...]:
        ids = annotation_ids(ref)
        missing = [i for i in ids if i not in files.annotations]
        if missing:
            raise DataError(
                f"{self.split_file}: ref {ref['ref_id']} names annotation {missing[0]}, which "
                f"{self.ann_file} does not have; the two files don't belong together"
            )
        for i in ids:
            image_id = files.annotations[i].get("image_id", ref["image_id"])
            if image_id != ref["image_id"]:
                raise DataError(
                    f"{self.split_file}: ref {ref['ref_id']} is about image {ref['image_id']}, but its "
                    f"annotation {i} in {self.ann_file} is of image {image_id}; the two files don't belong "
                    "together"
                )
            shape = files.annotations[i]["segmentation"]
            fault = shape_fault(shape, may_cover_nothing=self.may_cover_nothing)
            if fault:
                raise DataError(
                    f"{self.ann_file}: the segmentation of annotation {i} (image {image_id}) {fault}; as it "
                    "stands it covers no pixel. Mend it, or remove the annotation and its expressions"
                )
        if not ids and not self.may_lack_target:
            raise DataError(
                f"{self.split_file}: ref {ref['ref_id']} has no target; use GRefCOCODataset for "
                "expressions without one"
            )
        return ids

    def _ignored_ids(self, ref: dict) -> tuple[int, ...]:
        """Annotations whose pixels are not counted; REFER's files have none."""
        return ()

    def _checked_text(self, sentence: dict, ref: dict) -> str:
        text = sentence["sent"]
        problem = expression_problem(text)
        if problem:
            raise DataError(
                f"{self.split_file}: sentence {sentence.get('sent_id')} of ref {ref['ref_id']} (image "
                f"{ref['image_id']}) {problem}: {text!r}. Remove it or write an expression"
            )
        return text

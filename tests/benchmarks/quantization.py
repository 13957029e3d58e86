"""Agreement of the packaged model's masks, its LLM quantised, with those of the whole model.

python tests/benchmarks/quantization.py [--scenes 100]
"""

import argparse

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.toy.expressions import refcoco_expressions
from mmseg_mllm.toy.render import render_scene
from mmseg_mllm.toy.scene import sample_scene
from mmseg_mllm.toy.vocabulary import scene_rng

WAYS = {
    "float32": dict(dtype="float32"),
    "bfloat16": dict(dtype="bfloat16"),
    "int8": dict(dtype="float32", quantization="int8"),
    "nf4": dict(dtype="float32", quantization="nf4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    scenes = parser.parse_args().scenes
    predictors = {
        name: RESPredictor.from_pretrained("tiny", device="cpu", **way) for name, way in WAYS.items()
    }
    masks, scores, truth = {name: [] for name in WAYS}, {name: [] for name in WAYS}, []
    for index in range(scenes):
        origin = dict(seed=77, split="val", index=index)
        scene = sample_scene(**origin)
        picture = render_scene(scene=scene, rng=scene_rng(**origin, stream="picture"))
        expressions = refcoco_expressions(scene=scene, rng=scene_rng(**origin, stream="refs"))
        told = [(sentence.text, e.targets[0]) for e in expressions for sentence in e.sentences]
        truth += [scene.objects[target].visible for _, target in told]
        for name, predictor in predictors.items():
            predictor.set_image(picture)
            answers = predictor.segment([text for text, _ in told])
            masks[name] += [answer.mask for answer in answers]
            scores[name] += [answer.score for answer in answers]
    print(f"{len(truth)} expressions")
    plain_masks, plain_scores = (found["float32"] for found in (masks, scores))
    for name in WAYS:
        equal = sum((a < 0) == (b < 0) for a, b in zip(scores[name], plain_scores, strict=True))
        print(
            f"{name:8}  cIoU with the truth {ciou(masks[name], truth):.2f}, with float32 "
            f"{ciou(masks[name], plain_masks):.2f}, verdicts equal {equal}"
        )


def ciou(found: list, other: list) -> float:
    """In percent."""
    pairs = list(zip(found, other, strict=True))
    return 100 * sum((a & b).sum() for a, b in pairs) / sum((a | b).sum() for a, b in pairs)


if __name__ == "__main__":
    main()

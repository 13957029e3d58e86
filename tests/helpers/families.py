"""Checks for a family of MLLMs. The witness is the transformers class, run the plain way."""

import re
from math import prod

import pytest
import torch
from helpers.tiny_model import make_samples
from mmseg.registry import MODELS
from torch import Tensor
from transformers import AutoModelForImageTextToText

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.description import describe_model
from mmseg_mllm.conversion.save import save_model
from mmseg_mllm.hub.source import ModelSource
from mmseg_mllm.prompts import prompt_style

ASKED = [["the dog", "a red circle on the left", "zebra"], ["small man"]]
STYLE = prompt_style("segment")


class FamilyChecks:
    """One subclass for each family.

    Attributes:
        arch: Config of a tiny model.
        side: Of its images, in pixels, where they are squares.
        size: Their height and width.
        mixing: Which of the vision tower's parameters let a patch see others, or where it is.
        text: A whole conversation with the fields ``{image}``, ``{question}`` and ``{answer}``.
        image_token: Stands in it once for each of the image's tokens.
        image_reads: Where the semantic map is read, from an image token.
    """

    arch: dict
    side = 32
    mixing: str
    text: str
    image_token: str
    image_reads = -1

    @property
    def size(self) -> tuple[int, int]:
        return self.side, self.side

    def grid(self, cell: int) -> tuple[int, ...]:
        """Rows and columns of cells of so many pixels."""
        return tuple(side // cell for side in self.size)

    def own_inputs(self, images: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """What the class takes besides token ids, as its own processor makes it."""
        return dict(pixel_values=images)

    def build(self, **arguments):
        torch.manual_seed(0)
        tokenizer = dict(type="build_tiny_tokenizer")
        backbone = dict(type="MLLMBackbone", tokenizer=tokenizer, image_size=self.size, arch=self.arch)
        backbone = MODELS.build({**backbone, **arguments}).eval()
        for config in (backbone.model.config, backbone.model.model.config):
            config.image_token_id = backbone.tokenizer.image_id
        return backbone

    @pytest.fixture
    def backbone(self):
        return self.build()

    @pytest.fixture
    def images(self) -> Tensor:
        return torch.randn(2, 3, *self.size, generator=torch.Generator().manual_seed(1))

    def ids(self, backbone, expressions, *, answered=True) -> Tensor:
        """(1, L) ids of a whole conversation, by the family's published template."""
        question, answer = STYLE.branch(expressions)
        count = prod(self.grid(self.token_side(backbone)))
        text = self.text.format(image=self.image_token * count, question=question, answer=answer)
        if not answered:
            text = text[: text.rindex(answer)].rstrip(" ")
        return torch.tensor([backbone.tokenizer.tokenizer(text, add_special_tokens=False).input_ids])

    def plain(self, backbone, image, expressions) -> tuple[Tensor, Tensor, Tensor]:
        """(L,) ids, (L, C) hidden states and (L, V) logits of the class's own forward."""
        ids = self.ids(backbone, expressions)
        out = backbone.model(input_ids=ids, **self.own_inputs(image, ids), output_hidden_states=True)
        return ids[0], out.hidden_states[-1][0], out.logits[0]

    def layout(self, backbone, groups, *, supervised=False):
        turns = [[STYLE.branch(group) for group in image] for image in groups]
        return backbone.layout(STYLE.system, turns, image_size=self.size, supervised=supervised)

    @torch.no_grad()
    @pytest.mark.parametrize("joint", [False, True])
    def test_hidden_states_and_verdicts_are_the_classes_own(self, backbone, images, joint):
        groups = [[image] if joint else [[text] for text in image] for image in ASKED]
        layout = self.layout(backbone, groups)
        vision = backbone.see(images)
        hidden, features = backbone.hidden_states(vision, layout), backbone.read(vision, layout)
        slots = iter(zip(hidden[layout.slot_reads], backbone.target_scores(features.queries), strict=True))
        seg, rej = backbone.answer_token_ids
        for b, image in enumerate(groups):
            for group in image:
                ids, wanted, logits = self.plain(backbone, images[b : b + 1], group)
                at_image = (ids == backbone.tokenizer.image_id).nonzero()[:, 0]
                close(hidden[layout.image_positions[b]], wanted[at_image])
                close(features.semantic[b].flatten(1).T, wanted[at_image + self.image_reads])
                assert features.semantic.shape[2:] == self.grid(self.token_side(backbone))
                for slot in (ids == seg).nonzero()[:, 0]:
                    state, score = next(slots)
                    close(state, wanted[slot - 1])
                    close(score, logits[slot - 1, seg] - logits[slot - 1, rej])
        assert next(slots, None) is None

    def test_gradients_are_the_classes_own(self, backbone, images):
        model = backbone.model.requires_grad_(True)
        groups = [[[text] for text in image] for image in ASKED]
        backbone(images, self.layout(backbone, groups)).queries.sin().sum().backward()
        ours = {name: p.grad for name, p in model.named_parameters()}
        model.zero_grad()
        for b, image in enumerate(groups):
            for group in image:
                ids, hidden, _ = self.plain(backbone, images[b : b + 1], group)
                slot = (ids == backbone.tokenizer.seg_id).nonzero()[:, 0]
                hidden[slot - 1].sin().sum().backward()
        theirs = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        largest = {name: grad.abs().max() for name, grad in theirs.items()}
        # Some are zero but for rounding, such as those of a bias of keys.
        told = [name for name in theirs if largest[name] > 1e-4 * max(largest.values())]
        assert len(told) > 20
        for name in told:
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-5 * largest[name].item(), rtol=1e-4)

    @torch.no_grad()
    def test_each_cell_of_the_maps_is_where_its_patch_is(self, backbone):
        """With nothing that mixes patches, a cell shows its own colour, which says where it is."""
        modules = backbone.family.modules(backbone.model, backbone.family.vision)
        named = [pair for module in modules for pair in module.named_parameters()]
        vision = [
            (name, p) for name, p in backbone.model.model.named_parameters() if any(p is q for _, q in named)
        ]
        mixing = [p for name, p in vision if re.search(self.mixing, name)]
        assert 0 < len(mixing) < len(vision)
        for parameter in mixing:
            parameter.zero_()
        for cell, names in (
            (backbone.patch_size, ["detail"]),
            (self.token_side(backbone), ["image_tokens", "added"]),
        ):
            rows, columns = self.grid(cell)
            colours = torch.rand(rows * columns, 3, generator=torch.Generator().manual_seed(2))
            grid = colours.T.reshape(3, rows, columns).repeat_interleave(cell, 1).repeat_interleave(cell, 2)
            seen = backbone.see(grid[None])
            plain = backbone.see(colours[:, :, None, None].expand(-1, 3, *self.size))
            assert seen.detail.shape[2:] == self.grid(backbone.patch_size)
            for name in names:
                for found, alone in zip(maps(seen, name), maps(plain, name), strict=True):
                    close(found[0], alone[:, 0])
                    assert (alone[0, 0] - alone[1:, 0]).abs().amax(dim=1).min() > 1e-3

    def token_side(self, backbone) -> int:
        return backbone.patch_size * backbone.downsample

    @torch.no_grad()
    def test_a_kept_prefix_is_the_whole_sequence(self, backbone, images):
        vision = backbone.see(images)
        layout = self.layout(backbone, [[[text] for text in image] for image in ASKED])
        whole = backbone.read(vision, layout)
        on = backbone.read_on(backbone.read_prefix(vision, STYLE.system, image_size=self.size), layout)
        for name in ("detail", "semantic", "queries"):
            close(getattr(on, name), getattr(whole, name))

    @torch.no_grad()
    def test_answers_are_those_of_the_classes_own_generate(self, backbone, images):
        limit = 7
        questions = [[STYLE.branch([text])[0] for text in image] for image in ASKED]
        prefix, asked = backbone.questions(STYLE.system, questions, image_size=self.size)
        written = backbone.generate(
            backbone.see(images),
            [[prefix + ids for ids in image] for image in asked],
            image_size=self.size,
            max_new_tokens=[[limit] * len(image) for image in asked],
        )
        ends = [*backbone.answer_token_ids, backbone.tokenizer.turn_end_id]
        for b, image in enumerate(ASKED):
            for text, answer in zip(image, written[b], strict=True):
                ids = self.ids(backbone, [text], answered=False)
                wanted = backbone.model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    **self.own_inputs(images[b : b + 1], ids),
                    max_new_tokens=limit,
                    do_sample=False,
                    eos_token_id=ends,
                    pad_token_id=ends[-1],
                )
                assert answer == wanted[0, ids.shape[1] :].tolist()

    def test_lora_trains_the_language_model_and_two_rows_alone(self, images):
        """With layers recomputed in the backward pass, and merged again with the same result."""
        lora = dict(r=2, lora_alpha=4, lora_dropout=0.0, init_lora_weights=False)
        backbone = self.build(lora=lora, trainable=["llm_norm"], gradient_checkpointing=True).train()
        layout = self.layout(backbone, [[[text] for text in image] for image in ASKED], supervised=True)
        features = backbone(images, layout)
        (features.queries.sin().mean() + features.loss_text).backward()
        trained = {name: p for name, p in backbone.model.named_parameters() if p.requires_grad}
        assert all(p.grad is not None and p.grad.any() for p in trained.values())
        text_model = f"model.{backbone.family.text_model}."
        assert all(name.startswith((text_model, "lm_head.")) for name in trained)
        adapted = {re.sub(r".*layers\.\d+\.\w+\.|\.lora.*", "", name) for name in trained if "lora" in name}
        assert adapted == {f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "up", "down")}
        rows = [p for name, p in trained.items() if "trainable_tokens" in name]
        assert {p.shape[0] for p in rows} == {2}
        backbone.eval()
        assert len(rows) == (1 if self.arch["tie_word_embeddings"] else 2)
        with torch.no_grad():
            for number, parameter in enumerate(rows):
                parameter.mul_(2 + number)
            before = backbone(images, layout)
            scores = backbone.target_scores(before.queries)
            backbone.merge_adapters()
            after = backbone(images, layout)
            for found, wanted in (
                (after.queries, before.queries),
                (backbone.target_scores(after.queries), scores),
            ):
                torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)  # another order of sums
            head = backbone.model.lm_head(after.queries)[:, list(backbone.answer_token_ids)]
            close(head[:, 0] - head[:, 1], backbone.target_scores(after.queries))

    def test_each_part_can_be_trained_by_itself(self):
        whole = sum(p.numel() for p in self.build().model.parameters())
        counts = {}
        for part in ("vision", "projector", "llm", "lm_head"):
            model = self.build(trainable=[part]).model
            counts[part] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        tied = counts["lm_head"] if self.arch["tie_word_embeddings"] else 0
        assert sum(counts.values()) - tied == whole

    def build_segmentor(self, **arguments):
        backbone = self.build()
        head = dict(type="DSFFHead", channels=backbone.out_channels[0], num_heads=2)
        preprocessor = dict(type="ImgDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3)
        config = dict(
            type="MLLMSegmentor", prompt="segment", decode_head=head, data_preprocessor=preprocessor
        )
        config["backbone"] = dict(type="MLLMBackbone", image_size=self.size, arch=self.arch)
        config["backbone"]["tokenizer"] = dict(type="build_tiny_tokenizer")
        torch.manual_seed(0)
        return MODELS.build({**config, **arguments}).eval()

    def test_it_learns(self, images):
        """The same four answers and masks, from random numbers in 20 steps to less than half the loss."""
        segmentor = self.build_segmentor()
        segmentor.backbone.model.requires_grad_(True)
        segmentor.train()
        optimizer = torch.optim.AdamW(segmentor.parameters(), lr=1e-2)
        losses = []
        for _ in range(20):
            parts = segmentor(images, make_samples(ASKED, image_size=self.size), mode="loss")
            losses.append(sum(parts.values()))
            optimizer.zero_grad()
            losses[-1].backward()
            torch.nn.utils.clip_grad_norm_(segmentor.parameters(), 1.0)
            optimizer.step()
        assert losses[-1] < losses[0] / 2

    @pytest.mark.parametrize("protocol", ["independent", "joint", "paper", "generate"])
    def test_every_way_of_asking(self, images, protocol, monkeypatch):
        monkeypatch.setattr("mmseg_mllm.models.segmentors.mllm_segmentor.MAX_NEW_TOKENS", 2)
        segmentor = self.build_segmentor(protocol=protocol)
        together = segmentor(images, make_samples(ASKED, image_size=self.size), mode="predict")
        segmentor.max_expressions = 1
        parts = segmentor(images, make_samples(ASKED, image_size=self.size), mode="predict")
        for one, other in zip(together, parts, strict=True):
            close(other.pred_instances.scores, one.pred_instances.scores)
            close(other.pred_instances.probabilities, one.pred_instances.probabilities)

    @torch.no_grad()
    def test_a_model_folder_is_the_model(self, images, tmp_path):
        """Written, described, checked and loaded again, with its base a folder of transformers."""
        segmentor = self.build_segmentor()
        masks = segmentor(images, make_samples(ASKED, image_size=self.size), mode="tensor")
        save_model(segmentor, tmp_path / "model", readme="A model.")
        again = MODELS.build(folder_config(tmp_path / "model")).eval()
        close(again(images, make_samples(ASKED, image_size=self.size), mode="tensor"), masks)
        _, report = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        facts = describe_model(ModelSource(name="x", folder=tmp_path / "model"))
        assert facts["parameters"] >= sum(p.numel() for p in segmentor.parameters())
        assert facts["image_tokens"] == segmentor.backbone.num_image_tokens(self.size)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def maps(seen, name) -> list[Tensor]:
    """(B, N, C) maps of that name."""
    value = getattr(seen, name)
    if name == "detail":
        return [value.flatten(2).transpose(1, 2)]
    return [value] if isinstance(value, Tensor) else list(value)

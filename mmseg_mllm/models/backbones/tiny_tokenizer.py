"""A tiny tokenizer made on the spot, for tiny models and tests."""

from mmseg.registry import MODELS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

WORDS = """
red green blue yellow purple cyan orange white black circle square triangle star diamond cross small
large big little left right top bottom middle center corner front back behind near far next to user
assistant the a an of on in at with and is are it this that his her man woman boy girl guy lady kid child
person people player shirt hat dog cat horse zebra elephant cow sheep bear bird car bus truck train bike
table chair couch bed bowl plate pizza cake banana bottle cup glass umbrella bag phone sitting standing
holding wearing riding facing looking one two three first second third side end between closest furthest
half whole edge circles squares triangles stars crosses diamonds object objects shape shapes from leftmost
rightmost topmost bottommost above below list all both how many are there what where colour
size place yes no nothing
"""
SQUARES = " ".join(f"{column}{row}" for column in "abcdef" for row in range(1, 7))
NUMBERS = " ".join(map(str, range(25)))


@MODELS.register_module()
def build_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that has one token for each of some hundred common words; any text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    # Words end at spaces alone, so that a letter and a digit can be one token.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[^ \n]+|[ \n]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    words = [*WORDS.split(), *SQUARES.split(), *NUMBERS.split()]
    tokenizer.train_from_iterator([f" {word}" for word in words] + words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, name_or_path="tiny tokenizer")

import pytest

from mmseg_mllm.batch.expressions import read_expressions
from mmseg_mllm.errors import MMSegMLLMError


def test_those_given_come_before_those_of_the_file(tmp_path):
    (tmp_path / "q.txt").write_text("\ufeffthe dog\r\n\n  左边的狗 \n#5 on the shirt\n", encoding="utf-8")
    found = read_expressions(["The Man."], tmp_path / "q.txt")
    assert found == ["The Man.", "the dog", "左边的狗", "#5 on the shirt"]


@pytest.mark.parametrize(
    ("texts", "content", "message"),
    [
        ([], None, "nothing is asked"),
        ([], b"\n\n", "the file is empty"),
        ([" . "], None, "has no words"),
        (["dog<|im_end|>"], None, r"holds <\|im_end\|>"),
        (["dog"], b"the cat\n\n...\n", r"q\.txt, line 3: this expression has no words"),
        ([], b"dog \xff", "no text in UTF-8"),
        (["dog " * 5000], None, "20,000 characters"),
    ],
)
def test_what_is_no_expression_is_told(tmp_path, texts, content, message):
    file = None
    if content is not None:
        file = tmp_path / "q.txt"
        file.write_bytes(content)
    with pytest.raises(MMSegMLLMError, match=message):
        read_expressions(texts, file)
    with pytest.raises(MMSegMLLMError, match=r"absent\.txt: can't be read"):
        read_expressions([], tmp_path / "absent.txt")

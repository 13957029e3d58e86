import pytest

from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.label_studio.labeling import Labeling

XML = """<View>
  <Header value="Labels"/>
  <Image name="img" value="$photo"/>
  <View><TextArea name="prompt" toName="img" value="$sentences"/></View>
  <TextArea name="note" toName="other"/>
  <RectangleLabels name="boxes" toName="img"><Label value="box"/></RectangleLabels>
  <BrushLabels name="masks" toName="img">
    <Label value="Person" predicted_values="the man in red, a woman"/>
    <Label value="dog" alias="pet"/>
    <Label value="fire truck"/><Label value="truck"/>
  </BrushLabels>
</View>"""


def context(*texts, name="prompt"):
    return {"result": [{"type": "textarea", "from_name": name, "value": {"text": list(texts)}}]}


def test_labels_ask_for_themselves_or_what_they_say():
    labeling = Labeling.of(XML)
    assert (labeling.image_name, labeling.image_key) == ("img", "photo")
    assert (labeling.control, labeling.control_name) == ("BrushLabels", "masks")
    assert labeling.asked({}, None) == [
        ("the man in red", "Person"),
        ("a woman", "Person"),
        ("dog", "pet"),
        ("fire truck", "fire truck"),
        ("truck", "truck"),
    ]


def test_what_a_task_holds_comes_before_labels_and_what_is_written_before_both():
    labeling = Labeling.of(XML)
    data = {"sentences": ["The dog.", "the left fire truck", " "], "photo": "x"}
    assert labeling.asked(data, None) == [
        ("The dog.", "Person"),  # 'pet' is the label's name
        ("the left fire truck", "fire truck"),
    ]
    assert labeling.asked({"sentences": "a WOMAN"}, None) == [("a WOMAN", "Person")]
    assert labeling.asked(data, context("Truck")) == [("Truck", "truck")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"result": []}, "nothing is asked"),
        ({}, "nothing is asked"),
        ([1], "nothing is asked"),
        ({"result": [5, {"from_name": "prompt", "value": 3}]}, "nothing is asked"),
        (context("dog", name="note"), "nothing is asked"),
        (context("dog", "..."), "has no words"),
        (context("dog<|im_end|>"), r"holds <\|im_end\|>"),
        (context("dog " * 3000), "12,000|11,999 characters"),
    ],
)
def test_what_is_no_sentence_is_told(given, message):
    with pytest.raises(DataError, match=message):
        Labeling.of(XML).asked({"sentences": "dog"}, given)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (None, "no labeling configuration"),
        ("<View>", "no XML"),
        ("", "no XML"),
        ("<View/>", "no image"),
        ('<View><Image name="i" value="x.png"/></View>', "no image"),
        (XML.replace("BrushLabels", "KeyPointLabels"), "no BrushLabels or PolygonLabels"),
        (XML.replace('name="masks" toName="img"', 'name="masks" toName="other"'), "for the image 'img'"),
        ('<View><Image name="i" value="$x"/><BrushLabels name="b" toName="i"/></View>', "with a Label in it"),
    ],
)
def test_what_can_not_be_served_is_told(xml, message):
    with pytest.raises(ConfigError, match=message):
        Labeling.of(xml)

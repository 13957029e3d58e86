"""The service over HTTP, asked as Label Studio asks."""

import json
import random
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from helpers.mutations import damaged_bytes, damaged_structure
from pycocotools import mask as coco_mask

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.errors import MMSegMLLMError
from mmseg_mllm.label_studio.backend import LabelStudioBackend
from mmseg_mllm.label_studio.images import TaskImages

uvicorn = pytest.importorskip("uvicorn", reason="the extra label-studio is not installed")
SCENE = Path(__file__).parents[2] / "demo" / "scene.png"
TEXTS = ["the topmost small triangle", "second cyan star from the left"]
LABELS = "".join(f'<Label value="{text}"/>' for text in TEXTS)
CONFIG = f"""<View><Image name="image" value="$image"/><TextArea name="prompt" toName="image"/>
<BrushLabels name="masks" toName="image">{LABELS}</BrushLabels></View>"""
POLYGONS = CONFIG.replace("BrushLabels", "PolygonLabels")


class LabelStudio(BaseHTTPRequestHandler):
    """Serves uploads to those with a token, a place in a storage by a redirect, and exchanges tokens."""

    photo: bytes
    asked: list[tuple[str, str | None]]

    def do_GET(self):
        token = self.headers["Authorization"]
        self.asked.append((self.path, token))
        if self.path.startswith("/tasks/7/resolve/?fileuri=czM6Ly9iL2MucG5n"):  # s3://b/c.png
            self.send_response(303)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/public.png")
            return self.end_headers()
        public = self.path == "/public.png"
        if not public and token not in ("Token key", "Bearer fresh"):
            return self.send_error(401)
        self._send(self.photo)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body["refresh"]))
        self._send(b'{"access": "fresh"}')

    def _send(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def label_studio():
    LabelStudio.photo = SCENE.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), LabelStudio)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def asked():
    LabelStudio.asked = []
    return LabelStudio.asked


@pytest.fixture(scope="module")
def predictor():
    return RESPredictor.from_pretrained("tiny", device="cpu")


@pytest.fixture(scope="module")
def wanted(predictor, label_studio):
    predictor.set_image(LabelStudio.photo, name="wanted")
    found = predictor.segment(TEXTS, name="wanted")
    assert all(result.found for result in found)  # else nothing is compared below
    return found


@pytest.fixture(scope="module")
def ask(predictor, label_studio):
    """Sends a request; gives status and answer."""
    from mmseg_mllm.label_studio.service import label_studio_service

    images = TaskImages(url=label_studio, token="key")
    backend = LabelStudioBackend(predictor=predictor, images=images)
    server = uvicorn.Server(uvicorn.Config(label_studio_service(backend), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def request(path, content=None):
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}/{path}", body, headers), timeout=60
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    yield request
    server.should_exit = True
    thread.join(10)


def question(*images, config=CONFIG, context=None):
    return {
        "tasks": [{"id": 7, "data": {"image": image}, "annotations": []} for image in images],
        "project": "1.1700000000",
        "label_config": config,
        "params": {"login": None, "password": None, "context": context},
    }


def test_it_is_there_and_takes_a_project(ask):
    assert ask("health") == (200, {"status": "UP", "model_version": "tiny"})
    setup = {"project": "1.17", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "x"}
    assert ask("setup", setup) == (200, {"model_version": "tiny"})
    assert ask("versions") == (200, {"versions": ["tiny"]})
    code, answer = ask("setup", {"schema": "<View/>"})
    assert code == 422
    assert "no image" in answer["error"]


def test_brushes_are_the_predictors_masks(ask, wanted):
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="label-studio-sdk is not there")
    code, answer = ask("predict", question("/data/upload/1/a photo.png"))
    assert code == 200
    (prediction,) = answer["results"]
    assert prediction["score"] == pytest.approx(np.mean([result.confidence for result in wanted]))
    for region, result in zip(prediction["result"], wanted, strict=True):
        assert (region["from_name"], region["to_name"], region["type"]) == ("masks", "image", "brushlabels")
        assert region["value"]["brushlabels"] == [result.expression]
        flat = {**region, **region["value"]}  # as the converter has them
        (mask,) = brush.decode_from_annotation("masks", [flat]).values()
        assert np.array_equal(mask > 0, result.mask)
    assert len({region["id"] for region in prediction["result"]}) == 2


def test_polygons_fill_the_predictors_mask(ask, wanted):
    context = {"result": [{"from_name": "prompt", "type": "textarea", "value": {"text": TEXTS[:1]}}]}
    code, answer = ask("predict", question("/x.png", config=POLYGONS, context=context))
    assert code == 200
    (prediction,) = answer["results"]
    mask = wanted[0].mask
    outlines = []
    for region in prediction["result"]:
        assert region["type"] == "polygonlabels"
        assert region["value"]["polygonlabels"] == TEXTS[:1]
        assert region["meta"] == {"text": TEXTS[:1]}
        scale = np.array((region["original_width"], region["original_height"])) / 100
        outlines.append((np.array(region["value"]["points"]) * scale).ravel().tolist())
    assert outlines == [pytest.approx(outline) for outline in wanted[0].polygons()]
    filled = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(outlines, *mask.shape))) > 0
    assert (mask & filled).sum() / (mask | filled).sum() > 0.9


@pytest.mark.parametrize("token", ["key", "eyJ.personal.token"])
def test_the_token_goes_to_label_studio_alone(label_studio, asked, token):
    images = TaskImages(url=label_studio, token=token)
    sent = "Token key" if token == "key" else "Bearer fresh"
    for source in ("/data/upload/1/a ü.png", f"{label_studio}/data/b.png", "s3://b/c.png"):
        assert images.fetch(source, task=7) == LabelStudio.photo
    other = label_studio.replace("127.0.0.1", "localhost")
    assert images.fetch(f"{other}/public.png", task=7) == LabelStudio.photo
    exchanged = [("/api/token/refresh/", token)] if token != "key" else []
    assert asked == [
        *exchanged,
        ("/data/upload/1/a%20%C3%BC.png", sent),
        ("/data/b.png", sent),
        ("/tasks/7/resolve/?fileuri=czM6Ly9iL2MucG5n", sent),
        ("/public.png", None),
        ("/public.png", None),
    ]


def test_a_task_that_fails_among_others_has_no_prediction(ask, caplog):
    code, answer = ask("predict", question("/x.png", "file:///etc/passwd", "/etc/../x.png", 5))
    assert code == 200
    assert [type(result) for result in answer["results"]] == [dict, list, dict, list]
    assert answer["results"][1] == answer["results"][3] == []
    assert "task 7: the task holds no address of an image, but 5" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b"\xff", "no JSON object"),
        ({}, "no labeling configuration"),
        ({"label_config": CONFIG, "tasks": 5}, "no list of tasks"),
        ({"label_config": CONFIG, "tasks": [5]}, "no list of tasks"),
        ({"label_config": CONFIG, "tasks": [{}]}, "holds no data"),
        (question("photo.png"), "no address of an image"),
        (question("http://127.0.0.1:9/x.png"), "can't be fetched"),
        (question("/x.png", context={"result": []}), "write a sentence"),
    ],
)
def test_what_can_not_be_answered_is_told(ask, content, message):
    code, answer = ask("predict", content)
    assert code == 422
    assert message in answer["error"]


def test_no_tasks_have_no_predictions(ask):
    assert ask("predict", question())[1]["results"] == []


def test_damaged_requests(predictor, label_studio, caplog):
    backend = LabelStudioBackend(predictor=predictor, images=TaskImages(url=label_studio, token="key"))
    context = {"result": [{"from_name": "prompt", "type": "textarea", "value": {"text": TEXTS[:1]}}]}
    rng, told = random.Random(0), 0
    for k in range(300):
        request = question("/x.png", context=context if k % 2 else None)
        request = damaged_structure(request, rng, for_json=True, witness="")
        if k % 5 == 0:
            request["label_config"] = damaged_bytes(CONFIG.encode(), rng).decode(errors="replace")
        try:
            answer = backend.predict(request)
            assert len(answer["results"]) == len(request["tasks"])
        except MMSegMLLMError:
            told += 1
    assert 50 < told < 290
    assert "\\ud800" in caplog.text
    caplog.text.encode()  # no half characters

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mmseg_mllm.apis import sources
from mmseg_mllm.apis.sources import load_image
from mmseg_mllm.datasets import limits
from mmseg_mllm.errors import ConfigError, DataError

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An image whose EXIF orientation says that its upper left corner is stored at the lower left."""
    exif = Image.Exif()
    exif[0x0112] = 8
    path = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(PIXELS).save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def server(path):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/image.png":
                return self.send_error(404)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


WAYS = dict(
    path=lambda path, server: path,
    text=lambda path, server: str(path),
    bytes=lambda path, server: path.read_bytes(),
    bytearray=lambda path, server: bytearray(path.read_bytes()),
    view=lambda path, server: memoryview(path.read_bytes()),
    buffer=lambda path, server: io.BytesIO(path.read_bytes()),
    file=lambda path, server: path.open("rb"),
    pillow=lambda path, server: Image.open(path),
    url=lambda path, server: f"{server}/image.png",
)


@pytest.mark.parametrize("way", WAYS)
def test_all_are_the_same_image_and_turned_by_the_same_rule(path, server, way):
    assert np.array_equal(load_image(WAYS[way](path, server)), np.rot90(PIXELS))
    assert np.array_equal(load_image(WAYS[way](path, server), upright=False), PIXELS)


def test_arrays_are_taken_as_they_are():
    assert load_image(PIXELS) is PIXELS
    for odd in (PIXELS[..., 0], PIXELS.astype(float), PIXELS[:0], np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ConfigError, match="uint8 RGB"):
            load_image(odd)


def test_an_image_of_pillow_is_left_as_it_was():
    image = Image.fromarray(PIXELS).convert("P")
    image.info["transparency"] = 3
    with_rgb = load_image(image)
    assert image.info["transparency"] == 3
    assert image.mode == "P"
    assert with_rgb.shape == PIXELS.shape


def test_what_can_not_be_had_is_told(path, server, tmp_path, monkeypatch):
    closed, written = path.open("rb"), (tmp_path / "x").open("wb")
    closed.close()
    wrong = {
        "nothing.png: the image is missing": "nothing.png",
        "404 Not Found": f"{server}/other.png",
        "can't be fetched": "http://127.0.0.1:9/image.png",
        "the image: no image": b"no image at all",
        "the image can't be decoded": path.read_bytes()[:-600],
        "closed file": closed,
        "can't be read": written,
    }
    for message, source in wrong.items():
        with pytest.raises(DataError, match=message):
            load_image(source)
    written.close()
    for source in (io.StringIO("text"), 5, None, [PIXELS]):
        with pytest.raises(ConfigError):
            load_image(source)
    monkeypatch.setattr(sources, "MAX_IMAGE_BYTES", 1000)
    for source in (f"{server}/image.png", path.open("rb")):
        with pytest.raises(DataError, match=limits.VARIABLE):
            load_image(source)
    monkeypatch.setattr(sources, "MAX_IMAGE_BYTES", 10**6)
    monkeypatch.setattr(sources, "URL_SECONDS", -1.0)
    with pytest.raises(DataError, match="not done after"):
        load_image(f"{server}/image.png")

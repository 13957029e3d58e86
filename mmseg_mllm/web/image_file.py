"""An uploaded image as the file that it is."""

import gradio as gr
from gradio.data_classes import ImageData

from mmseg_mllm.compat import no_stub_files

with no_stub_files():

    class ImageFile(gr.Image):
        """Gives the path of the upload, and opens nothing: that is done within this package's bounds."""

        is_template = True  # Gradio's word for: shown as the class above it

        def preprocess(self, payload: ImageData | None) -> str | None:
            return None if payload is None else payload.path

"""A page in the browser: ``serve.py`` serves it. It needs Gradio, the extra ``web``."""

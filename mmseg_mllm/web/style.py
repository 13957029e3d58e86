"""How the page looks. Fonts are those of the visitor's machine: nothing is loaded from elsewhere."""

import gradio as gr

from mmseg_mllm.visualization.overlay import color_of
from mmseg_mllm.web.asking import MAX_SENTENCES

THEME = gr.themes.Default(
    primary_hue=gr.themes.colors.orange,
    neutral_hue=gr.themes.colors.slate,
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
)

_SWATCHES = "\n".join(
    f"#legend label:nth-of-type({index + 1}) {{ --swatch: rgb{color_of(index)}; }}"
    for index in range(MAX_SENTENCES)
)
CSS = f"""
.gradio-container {{ width: 100%; max-width: 1200px !important; margin: 0 auto; }}
#picture {{ min-height: 240px; }}
#picture img {{ max-height: 60vh; }}
#legend .wrap {{ flex-direction: column; gap: 6px; }}
#legend label {{ width: 100%; border-left: 10px solid var(--swatch); overflow-wrap: anywhere; }}
#legend label:not(.selected) {{ opacity: 0.6; }}
{_SWATCHES}
"""

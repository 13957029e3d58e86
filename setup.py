from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
version: dict = {}
exec((here / "mmseg_mllm" / "version.py").read_text(), version)

# Python runs this when it starts, so that ``import mmseg`` works with mmcv-lite before ``import mmseg_mllm``.
# It is one line for Python's sake, takes a few milliseconds, and whatever fails leaves Python as it was.
AT_START = """
try:
    from importlib.util import find_spec, module_from_spec, spec_from_file_location
    package = find_spec("mmseg_mllm")
    spec = spec_from_file_location("_mmcv_lite", package.submodule_search_locations[0] + "/mmcv_lite.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install()
except Exception:
    pass
"""


class BuildWithPth(build_py):
    """Also puts ``mmseg_mllm.pth`` beside the package, in an editable install too."""

    def run(self) -> None:
        super().run()
        editable = getattr(self, "editable_mode", False)
        folder = Path(self.get_finalized_command("install").install_lib if editable else self.build_lib)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mmseg_mllm.pth").write_text(f"import sys; exec({AT_START!r}, {{}})\n")


setup(
    name="mmseg_mllm",
    version=version["__version__"],
    description="Referring segmentation with multimodal LLMs as a plugin of MMSegmentation",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["mmseg_mllm", "mmseg_mllm.*"]),
    package_data={"mmseg_mllm": ["py.typed", ".mim/configs/**/*.py", "weights/*/*", "web/examples/*"]},
    entry_points={"console_scripts": ["mmseg-mllm = mmseg_mllm.cli:main"]},
    cmdclass={"build_py": BuildWithPth},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.11",
        "transformers>=5.17,<6",
        "peft>=0.19",
        "mmengine>=0.10.7,<1",
        "mmsegmentation>=1.2.2,<2",
        "huggingface_hub>=1",
        "numpy>=2",
        "pillow",
        "pycocotools>=2.0.8",
        "rich",
        "psutil",
        # mmengine imports distutils and pkg_resources, which newer ones or newer Pythons lack.
        "setuptools<81",
        # mmsegmentation imports these two without asking for them.
        "ftfy",
        "regex",
    ],
    extras_require={
        # One of the two; mmsegmentation 1.2.2 wants mmcv < 2.2.
        "lite": ["mmcv-lite>=2.1.0,<2.2.0"],
        "full": ["mmcv>=2.1.0,<2.2.0"],
        "mmpretrain": ["mmpretrain>=1.2,<2", "torchvision"],
        # For converting checkpoints that come with a tokenizer.model.
        "convert": ["sentencepiece>=0.2", "protobuf"],
        # For parquet files of the hub.
        "parquet": ["pyarrow>=17"],
        # For the page.
        "web": ["gradio>=6,<7"],
        # For the service that Label Studio asks.
        "label-studio": ["starlette>=0.40,<2", "uvicorn>=0.30"],
        # For to_supervision.
        "supervision": ["supervision"],
        # For exporting models to ONNX and running them.
        "export": ["onnx", "onnxscript", "onnxruntime"],
        # For the LLM's weights in 4 or 8 bit.
        "quantization": ["bitsandbytes>=0.50"],
        # Its tests use Debian's chromium and chromium-driver, or others of these names.
        "test": ["pytest>=8", "pytest-xdist", "ruff", "gradio>=6,<7", "selenium>=4.11", "pyarrow>=17"],
    },
)

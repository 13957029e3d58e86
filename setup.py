from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version: dict = {}
exec((here / "mmseg_mllm" / "version.py").read_text(), version)

setup(
    name="mmseg_mllm",
    version=version["__version__"],
    description="Referring segmentation with multimodal LLMs as a plugin of MMSegmentation",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["mmseg_mllm", "mmseg_mllm.*"]),
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.11",
        "transformers>=5.17,<6",
        "peft>=0.19",
        "mmengine>=0.10.7,<1",
        "mmsegmentation>=1.2.2,<2",
        "numpy>=2",
        "pillow",
        "pycocotools>=2.0.8",
        "rich",
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
        # For exporting models to ONNX and running them.
        "export": ["onnx", "onnxscript", "onnxruntime"],
        "test": ["pytest>=8", "ruff"],
    },
)

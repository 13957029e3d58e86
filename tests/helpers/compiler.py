"""What tests of torch.compile need."""

import os
import shutil

import pytest

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))),
    reason="torch.compile needs a C++ compiler on CPUs, and there is none",
)

"""These tests need the libraries themselves, in an environment of their own: see .ci/run. Elsewhere they are skipped,
and fail if NLD_REQUIRE_INTEGRATIONS is set."""

import os
from importlib.util import find_spec

import pytest

LIBRARIES = ("accelerate", "lightning", "mlflow", "tensorboard", "transformers", "wandb")
MISSING = [name for name in LIBRARIES if find_spec(name) is None]
WORDS = f"needs {', '.join(MISSING)}: pip install '.[integrations]' in an environment of its own"
if MISSING and os.environ.get("NLD_REQUIRE_INTEGRATIONS"):
    raise pytest.UsageError(WORDS)
collect_ignore = ["test_transformers.py", "test_lightning.py", "test_dashboards.py", "test_walk.py"] if MISSING else []

# Before the libraries are imported: nothing is asked of a network.
os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}

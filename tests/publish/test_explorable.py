"""The explorable: the script in the page and the package give the same numbers, and the page stands without it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nld.publish.explorables import explorable

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "explorable-charge.js"
PROGRAM = """
const { compute } = require(process.argv[1]);
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(given.settings.map((p) => compute(p, given.noise))));
"""
SETTINGS = [
    explorable.defaults(),
    {"learning_rate": 0.001, "momentum": 0.0, "weight_decay": 0.0, "correlation": 0.0},
    {"learning_rate": 0.1, "momentum": 0.98, "weight_decay": 0.0, "correlation": 1.0},
    {"learning_rate": 0.1, "momentum": 0.98, "weight_decay": 0.0004, "correlation": 0.6},
    {"learning_rate": 0.1, "momentum": 0.98, "weight_decay": 0.1, "correlation": 0.0},
    {"learning_rate": 0.03, "momentum": 0.5, "weight_decay": 0.1, "correlation": 0.0},
    {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.05, "correlation": 1.0},
]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to run the page's script")
def test_the_script_agrees_with_the_package():
    noise = explorable.noise()
    given = json.dumps({"settings": SETTINGS, "noise": noise.tolist()})
    ran = subprocess.run(
        ["node", "-e", PROGRAM, str(SCRIPT)], input=given, capture_output=True, text=True, check=True, timeout=60
    )
    for setting, found in zip(SETTINGS, json.loads(ran.stdout), strict=True):
        expected = explorable.compute(**setting, noise=noise)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12, err_msg=f"{name} at {setting}")


def test_the_curves_are_what_their_labels_say():
    """White noise follows the closure with chi, correlation 1 the smooth one; a rotation's charge decays as beta^n."""
    noise = explorable.noise()
    setting = {"learning_rate": 0.002, "momentum": 0.9, "weight_decay": 0.0}
    white = explorable.compute(**setting, correlation=0.0, noise=noise)
    smooth = explorable.compute(**setting, correlation=1.0, noise=noise)
    growth = {name: white[name][-1] ** 2 - 1 for name in ("squared_norm", "corrected", "eq16")}
    assert growth["squared_norm"] == pytest.approx(growth["corrected"], rel=0.2)
    assert growth["eq16"] > 5 * growth["squared_norm"]
    assert smooth["squared_norm"][-1] - 1 == pytest.approx(smooth["eq16"][-1] - 1, rel=0.1)
    np.testing.assert_allclose(white["charge"], 0.9 ** np.arange(len(noise) + 1), rtol=1e-6, atol=1e-11)


def test_the_page_stands_alone():
    html = explorable.show().data
    assert len(html.encode()) + SCRIPT.stat().st_size < 150_000
    assert not re.findall(r"https?://", html + SCRIPT.read_text("utf-8"))
    assert "<noscript>" in html
    sliders = re.findall(r"<label>.*?</label>", html)
    assert len(sliders) == len(explorable.SLIDERS)
    assert all('type="range"' in slider and "aria-valuetext" in slider for slider in sliders)
    curves = re.findall(r'data-curve="(\w+)" points="([^"]+)"', html)
    assert {name for name, _ in curves} == explorable.compute(**explorable.defaults(), noise=explorable.noise()).keys()
    json.loads(re.findall(r'<script type="application/json">(.*?)</script>', html)[0])

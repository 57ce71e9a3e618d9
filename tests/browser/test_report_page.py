"""The report in a real browser: nothing to fetch, no complaint, nothing wider than the window."""

import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from synthgan.evaluate import evaluate, evaluate_images

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browse(tmp_path_factory):
    """Return ``browse(path, width, *flags)``: what the browser prints, and what it complains of."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    profile = tmp_path_factory.mktemp("profile")

    def run(path, width, *flags):
        command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]
        command += [f"--user-data-dir={profile}", f"--window-size={width},900"]
        command += ["--enable-logging=stderr", "--v=0", *flags, path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return run


# Run in a copy of the page only: it tells the widths, the focusable parts and the requests.
PROBE = """<script>
const root = document.documentElement;
const wide = [...document.querySelectorAll('main *')].filter(e => !e.closest('.wide, svg') &&
  e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.outerHTML.slice(0, 80));
const scrolled = [...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth);
document.title = JSON.stringify({width: root.scrollWidth, window: root.clientWidth, wide,
  requests: performance.getEntriesByType('resource').length,
  unreachable: scrolled.filter(e => e.tabIndex < 0).length,
  unnamed: [...document.querySelectorAll('svg')].filter(e => !e.getAttribute('aria-label')).length,
  dark: getComputedStyle(document.body).backgroundColor});
</script>"""


def make_table(n_columns, seed):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(400, 3))
    weights = np.random.default_rng(9).normal(size=(n_columns, 3))
    noise = rng.normal(size=(400, n_columns))
    numbers = {f"measurement_{k}": base @ weights[k] + noise[:, k] for k in range(n_columns - 2)}
    levels = {f"a column with a long name {k}": rng.choice(list("abcd"), 400) for k in range(2)}
    return pd.DataFrame({**numbers, **levels})


def make_image_page(path):
    digits = load_digits()
    pixels, labels = (digits.images * 15.9375).astype(np.uint8), digits.target
    report = evaluate_images(
        pixels[:700],
        pixels[700:1200],
        holdout=pixels[1200:],
        labels=labels[:700],
        synthetic_labels=labels[700:1200],
        holdout_labels=labels[1200:],
        history=[{"phase": "adversarial", "step": k, "generator": 1 / (k + 1)} for k in range(9)],
        interpolations=[pixels[:8], pixels[8:16]],
        level="quick",
    )
    report.to_html(path)


@pytest.fixture(scope="module", params=[5, 200, "images"])
def path(request, tmp_path_factory):
    if request.param == "images":
        path = tmp_path_factory.mktemp("page") / "images.html"
        make_image_page(path)
        return path
    train, synthetic, holdout = (make_table(request.param, seed) for seed in range(3))
    report = evaluate(
        train,
        synthetic,
        holdout=holdout,
        target="measurement_0",
        level="quick" if request.param > 5 else "full",
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.to_html(path)
    assert path.stat().st_size < 5e6
    return path


@pytest.mark.parametrize("width", [500, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_page(browse, path, width, dark):
    copy = path.with_name(f"probe_{width}_{dark}.html")
    copy.write_text(path.read_text("utf-8").replace("</body>", f"{PROBE}</body>"), "utf-8")
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    shown, complaints = browse(copy, width, "--dump-dom", *flags)
    assert complaints == []
    found = json.loads(
        re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1].replace("&amp;", "&")
    )
    assert found["width"] <= found["window"], found["wide"]
    assert found["requests"] == 0
    assert found["unreachable"] == 0
    assert found["unnamed"] == 0
    assert (found["dark"] == "rgb(20, 25, 31)") == dark


def test_screenshot_is_not_empty(browse, path, tmp_path):
    browse(path, 1280, f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 20_000

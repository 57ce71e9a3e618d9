"""Planted failures of images are named; fresh real images pass."""

import json

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from synthgan.evaluate import ImageReport, evaluate_images
from synthgan.evaluate.images import manifold
from synthgan.evaluate.images.distances import frechet_distance, kernel_distance
from synthgan.evaluate.images.judges import Classifier, random_features
from synthgan.evaluate.images.manifold import nearest_distances, neighbourhood
from synthgan.evaluate.images.privacy import pixel_space
from synthgan.evaluate.images.setting import ImageSetting
from synthgan.evaluate.verdict import verdict
from synthgan.exceptions import DataError, ParameterError
from synthgan.images import ImageSet

DIGITS = load_digits()
PIXELS = (DIGITS.images * 15.9375).astype(np.uint8)
ORDER = np.random.default_rng(0).permutation(len(PIXELS))
TRAIN, FRESH, HOLDOUT = (
    ImageSet(PIXELS[rows][..., None], DIGITS.target[rows]) for rows in np.split(ORDER, [500, 950])
)


def judge(pixels, labels=None, **arguments):
    images = ImageSet(np.asarray(pixels), FRESH.labels if labels is None else labels)
    return evaluate_images(TRAIN, images, holdout=HOLDOUT, level="quick", **arguments)


def names(report):
    return {finding["name"] for finding in report.findings}


@pytest.fixture(scope="module")
def honest():
    return judge(FRESH.pixels)


def test_fresh_real_images_pass(honest):
    assert names(honest) == set()
    assert "poor" not in honest.verdicts().values()
    scores = honest.scores
    for name in ("fid_classifier", "fid_random"):
        assert 0.4 < scores[name].value / scores[name].references["holdout"] < 2.5
    for name in ("precision", "recall", "coverage"):
        assert scores[name].value > 0.9 * scores[name].references["holdout"]
    assert scores["kid_random"].interval[0] < 0 < scores["kid_random"].interval[1]
    assert scores["real_accuracy"].value > 0.9
    assert scores["cas_ratio"].value > 0.93
    assert scores["membership_auc"].interval[0] < 0.5
    assert scores["membership_auc"].references["copy_of_train"] > 0.95
    assert {s.section for s in scores.values()} == {"fidelity", "utility", "privacy"}
    no_interval = [k for k, s in scores.items() if s.value is not None and not s.interval]
    assert no_interval == []


def test_a_collapsed_generator_is_named():
    rows = np.random.default_rng(0).integers(0, 40, 450)
    noise = np.random.default_rng(1).integers(0, 3, (450, 8, 8, 1), dtype=np.uint8)
    report = judge(FRESH.pixels[rows] // 2 * 2 + noise, FRESH.labels[rows])
    assert "mode collapse" in names(report)
    assert report.scores["recall"].value < 0.75 * report.scores["recall"].references["holdout"]


def test_near_duplicates_are_counted_against_those_of_real_images():
    train = ImageSet(PIXELS[:900][..., None], DIGITS.target[:900])
    setting = ImageSetting(train, None, (), 400, 0, 1)
    fresh = PIXELS[900:1400][..., None]
    repeated = fresh[np.arange(500) % 100] // 2 * 2
    found = [
        {s.name: s for s in manifold.measure(setting, ImageSet(pixels)).scores}["duplicate_rate"]
        for pixels in (fresh, repeated)
    ]
    assert found[0].interval[0] < 0.02
    assert found[1].value > 0.9
    assert verdict(found[1]) == "poor"


def test_a_memoriser_is_named():
    report = judge(TRAIN.pixels, TRAIN.labels)
    assert "copied images" in names(report)
    assert report.verdicts()["exact_match_rate"] == "poor"
    assert report.verdicts()["membership_auc"] == "poor"
    assert report.verdicts()["fid_random"] == "good"  # blind to it
    moved = TRAIN.pixels // 4 * 4 + 1  # no exact copies any more
    near = judge(moved, TRAIN.labels)
    assert near.scores["exact_match_rate"].value == 0
    assert near.verdicts()["near_copy_rate"] == "poor"


def test_missing_classes_and_wrong_labels_are_named():
    kept = FRESH.labels < 7
    report = judge(FRESH.pixels[kept], FRESH.labels[kept])
    assert "missing classes" in names(report)
    assert "7, 8, 9" in str(report)
    wrong = judge(FRESH.pixels, np.random.default_rng(0).permutation(FRESH.labels))
    assert "wrong labels" in names(wrong)
    assert wrong.verdicts()["cas_ratio"] == "poor"


def test_blurred_and_noisy_images_are_far(honest):
    padded = np.pad(FRESH.pixels.astype(float), [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    blurred = sum(padded[:, a : a + 8, b : b + 8] for a in range(3) for b in range(3)) / 9
    noise = np.random.default_rng(0).normal(0, 60, FRESH.pixels.shape)
    noisy = (FRESH.pixels + noise).clip(0, 255)
    for pixels in (blurred, noisy):
        report = judge(pixels.astype(np.uint8))
        assert report.verdicts()["fid_random"] == "poor"
        assert report.scores["fid_random"].value > 5 * honest.scores["fid_random"].value
    nothing = judge(np.random.default_rng(0).integers(0, 256, FRESH.pixels.shape, dtype=np.uint8))
    assert "blurred or noisy" in names(nothing)


def test_distances_agree_with_references():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)), rng.normal(1, 2, (300, 12))
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    first, second = np.cov(a.T), np.cov(b.T)
    expected = means + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    draws = [
        kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(50, 4))) for _ in range(300)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(300)
    assert kernel_distance(rng.normal(size=(200, 4)), rng.normal(1, 1, (200, 4))) > 10 * np.std(
        draws
    )


def test_neighbourhoods_agree_with_brute_force(monkeypatch):
    monkeypatch.setattr("synthgan.evaluate.images.manifold._CHUNK", 17)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 3)), rng.normal(0.3, 1.2, (50, 3))

    def gaps(x, y):
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))

    radius_a, radius_b = (np.sort(gaps(x, x), axis=1)[:, 3] for x in (a, b))
    found = neighbourhood(a, b, 3)
    inside = gaps(a, b) <= radius_a[:, None]
    assert (found.precision == inside.any(0)).all()
    assert (found.coverage == inside.any(1)).all()
    assert (found.density == inside.sum(0) / 3).all()
    assert (found.recall == (gaps(a, b) <= radius_b).any(1)).all()
    np.testing.assert_allclose(nearest_distances(a, b, 2), np.sort(gaps(a, b), 1)[:, :2], atol=1e-6)


def test_judges():
    codes = TRAIN.labels.astype(np.int64)
    first, same = (Classifier(TRAIN.pixels, codes, 10, 3) for _ in range(2))
    assert (first.chances(HOLDOUT.pixels) == same.chances(HOLDOUT.pixels)).all()
    assert (first.predict(HOLDOUT.pixels) == HOLDOUT.labels).mean() > 0.9
    np.testing.assert_allclose(first.features(TRAIN.pixels).std(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(first.chances(HOLDOUT.pixels[:9]).sum(axis=1), 1)
    assert (random_features(TRAIN.pixels) == random_features(TRAIN.pixels)).all()
    assert pixel_space(np.zeros((3, 33, 20, 3), np.uint8)).shape == (3, 11 * 10 * 3)


def test_reports(honest, tmp_path):
    again = judge(FRESH.pixels)
    assert again.to_dict() == honest.to_dict()
    honest.to_html(tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text("utf-8")
    assert html.index("No formal privacy guarantee") < html.index("<h1>")
    assert "<script" not in html
    assert html.count("data:image/png;base64,") == 4
    assert ImageReport(json.loads(json.dumps(honest.to_dict()))).to_dict() == honest.to_dict()
    public = honest.public()
    public.to_html(tmp_path / "p.html")
    assert "base64" not in (tmp_path / "p.html").read_text("utf-8")
    assert not public.to_dict()["details"]
    assert all(score.interval is None for score in public.scores.values())
    assert honest._repr_html_().startswith("<style>")
    charged = evaluate_images(TRAIN.pixels, FRESH.pixels, level="quick", privacy="epsilon = 1")
    assert charged.privacy == "epsilon = 1"
    names_ = np.array(["<b>x", *"abcdefghi"])
    odd = [ImageSet(part.pixels, names_[part.labels]) for part in (TRAIN, FRESH, HOLDOUT)]
    evaluate_images(odd[0], odd[1], holdout=odd[2], level="quick").to_html(tmp_path / "o.html")
    assert "<b>x" not in (tmp_path / "o.html").read_text("utf-8")


def test_ways_from_one_image_to_another_are_shown(tmp_path):
    ways = [FRESH.pixels[k : k + 6, :, :, 0] for k in range(3)]
    report = evaluate_images(TRAIN.pixels, FRESH.pixels, level="quick", interpolations=ways)
    report.to_html(tmp_path / "r.html")
    assert "is the way smooth?" in (tmp_path / "r.html").read_text("utf-8")
    assert "From one image" not in json.dumps(report.public().to_dict())
    for bad, words in (
        ([*ways, ways[0][:2]], "as many images"),
        ([ways[0][:, 1:]], "interpolated"),
    ):
        with pytest.raises(DataError, match=words):
            evaluate_images(TRAIN.pixels, FRESH.pixels, level="quick", interpolations=bad)


def test_synthetic_images_may_be_sorted_by_class():
    images = FRESH.take(np.argsort(FRESH.labels, kind="stable"))
    report = evaluate_images(TRAIN.take(np.arange(200)), images, holdout=HOLDOUT, level="quick")
    assert report.scores["cas_ratio"].value > 0.8


def test_what_cannot_be_computed_says_why():
    bare = evaluate_images(TRAIN.pixels, FRESH.pixels, level="quick")
    assert "holdout" in bare.scores["cas_accuracy"].reason
    assert "class" in bare.scores["fid_classifier"].reason
    assert bare.scores["recall"].value > 0.5
    few = evaluate_images(TRAIN, FRESH.take(np.arange(5)), holdout=HOLDOUT, level="quick")
    assert all(s.value is not None or s.reason for s in few.scores.values())
    one = ImageSet(TRAIN.pixels, np.zeros(len(TRAIN), int))
    report = evaluate_images(one, FRESH, holdout=HOLDOUT, level="quick")
    assert "one class" in report.scores["cas_accuracy"].reason
    named = ImageSet(HOLDOUT.pixels, HOLDOUT.labels.astype(str))
    report = evaluate_images(TRAIN, FRESH, holdout=named, level="quick")
    assert "labels of one type" in report.scores["cas_accuracy"].reason
    same = np.zeros((100, 8, 8), np.uint8)
    constant = evaluate_images(same, same, holdout=same, level="quick")
    assert constant.scores["exact_match_rate"].value == 1.0
    assert constant.verdicts()["exact_match_rate"] == "good"  # so are fresh ones


def test_bad_arguments():
    with pytest.raises(DataError, match="images are 9 x 9 with 1 channels, those of train 8"):
        evaluate_images(TRAIN, np.zeros((30, 9, 9), np.uint8))
    with pytest.raises(ParameterError, match="level must be"):
        evaluate_images(TRAIN, FRESH, level="slow")
    with pytest.raises(DataError, match="3 labels for 450 images"):
        evaluate_images(TRAIN, FRESH.pixels, synthetic_labels=[1, 2, 3])


def test_a_fit_is_read_too():
    bad = [
        {"phase": "adversarial", "step": k, "sign_real": 1.0, "sign_fake": 0.01, "penalty": 0.1}
        for k in range(6)
    ]
    bare = {"level": "quick"}  # no labels, no classifiers

    def read(history):
        return names(evaluate_images(TRAIN.pixels, FRESH.pixels, history=history, **bare))

    assert "critic too strong" in read(bad)
    learned = [
        {"phase": "adversarial", "step": k, "sign_real": 0.7, "sign_fake": 0.4, "penalty": 0.1}
        for k in range(6)
    ]
    overfit = [{**entry, "overfit": 0.2 * k} for k, entry in enumerate(learned)]
    assert "overfitting" in read(overfit)
    assert "ok" in read(learned)

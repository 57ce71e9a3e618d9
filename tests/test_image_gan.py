"""ImageGAN from a user's side: what it learns, what it promises, what it refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from synthgan import ImageGAN, ImageOptions, load_model
from synthgan._runtime import torch_generator
from synthgan.adversarial.images import fit_images
from synthgan.exceptions import ConditionError, DataError, ModelFileError, ParameterError
from synthgan.images import ImageSet, write_images
from synthgan.networks.images import ResidualCritic, ResidualGenerator
from synthgan.networks.pixels import as_bytes
from synthgan.runs import Run

DIGITS = load_digits()
IMAGES = (DIGITS.images * 15.9375).astype(np.uint8)
LABELS = DIGITS.target
SHORT = ImageOptions(steps=12, batch_size=32)


def make(**arguments):
    return ImageGAN(**{"random_state": 0, "verbose": 0, "options": SHORT, "width": 8, **arguments})


@pytest.fixture(scope="module")
def trained():
    """The default model after some hundred steps: digits can be read."""
    options = ImageOptions(steps=450, learning_rate=1e-3, ema=0.98)
    return ImageGAN(random_state=0, options=options, width=24, verbose=0).fit(IMAGES, LABELS)


@pytest.fixture(scope="module")
def quick():
    return make().fit(IMAGES, LABELS)


def test_samples_show_what_was_asked_for(trained):
    judge = LogisticRegression(max_iter=2000).fit(IMAGES.reshape(-1, 64) / 255, LABELS)
    wanted = np.repeat(np.arange(10), 40)
    samples, labels = trained.sample(labels=wanted, random_state=1)
    assert samples.shape == (400, 8, 8)
    assert samples.dtype == np.uint8
    assert (labels == wanted).all()
    assert (judge.predict(samples.reshape(-1, 64) / 255) == wanted).mean() > 0.7
    # The mean image of a class is close to that of real ones, and samples vary.
    for digit in range(10):
        made, real = (x[y == digit].astype(float) for x, y in ((samples, wanted), (IMAGES, LABELS)))
        assert np.abs(made.mean(axis=0) - real.mean(axis=0)).mean() < 30
        assert made.std(axis=0).mean() > 0.4 * real.std(axis=0).mean()


def test_history_has_what_the_diagnosis_reads(trained):
    for entry in trained.history_:
        figures = {"critic", "generator", "sign_real", "sign_fake", "penalty", "overfit"}
        assert figures <= set(entry)
        assert all(np.isfinite(entry[name]) for name in figures)
    assert (trained.n_images_, trained.classes_) == (1797, list(range(10)))


def test_features_know_the_classes(trained):
    features = trained.transform(IMAGES)
    assert features.shape == (1797, 256)
    assert features.dtype == np.float32
    judge = LogisticRegression(max_iter=3000).fit(features[:1200], LABELS[:1200])
    assert judge.score(features[1200:], LABELS[1200:]) > 0.85
    with pytest.raises(DataError, match="fitted on 8 x 8 images with 1 channels; these are 9 x 9"):
        trained.transform(np.zeros((2, 9, 9), np.uint8))


def test_same_seed_same_images_however_many(quick):
    again = make().fit(IMAGES, LABELS)
    first, labels = quick.sample(70, random_state=5)
    assert (again.sample(70, random_state=5)[0] == first).all()
    fewer, part = quick.sample(3, random_state=5, labels=labels[:3])
    assert (fewer == first[:3]).all()
    assert (part == labels[:3]).all()
    assert (quick.sample(70, random_state=6)[0] != first).any()
    assert quick.sample(0)[0].shape == (0, 8, 8)
    assert quick.sample()[0].shape == (1, 8, 8)


def test_truncation_makes_images_alike(trained):
    spread = [
        trained.sample(200, labels=3, truncation=t, random_state=0)[0].astype(float).std(axis=0)
        for t in (0.0, 0.5, 1.0)
    ]
    assert not spread[0].any()
    assert spread[1].mean() < spread[2].mean()


def test_interpolation_begins_and_ends_at_samples(quick):
    way = quick.interpolate(1, 2, 5, labels=[3, 4])
    assert way.shape == (5, 8, 8)
    ends = [quick.sample(1, labels=c, random_state=s)[0][0] for s, c in ((1, 3), (2, 4))]
    for found, end in zip(way[[0, -1]], ends, strict=True):
        assert np.abs(found.astype(int) - end).max() <= 1
    with pytest.raises(ParameterError, match="one label, or two"):
        quick.interpolate(1, 2, 5, labels=[1, 2, 3])


@pytest.mark.parametrize("preset", ["resnet", "dcgan", "vanilla"])
def test_one_file_gives_the_same_model(preset, tmp_path):
    gan = make(preset=preset).fit(IMAGES, LABELS)
    gan.save(tmp_path / "m.synthgan")
    loaded = load_model(tmp_path / "m.synthgan")
    a, b = (m.sample(70, random_state=1) for m in (gan, loaded))
    assert (a[0] == b[0]).all()
    assert (a[1] == b[1]).all()
    assert (gan.transform(IMAGES[:5]) == loaded.transform(IMAGES[:5])).all()
    assert loaded.describe() == gan.describe()
    assert loaded.get_params()["options"] == SHORT
    whole = (tmp_path / "m.synthgan").read_bytes()
    (tmp_path / "m.synthgan").write_bytes(whole[:-100])
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m.synthgan")


def test_no_training_image_is_in_the_file(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    make().fit(images, rng.permutation(np.arange(40) % 4)).save(tmp_path / "m.synthgan")
    stored = (tmp_path / "m.synthgan").read_bytes()
    for image in images:
        assert image.tobytes()[:16] not in stored
        assert (image / 127.5 - 1).astype(np.float32).tobytes()[:32] not in stored


def test_attributes_vectors_and_no_labels(tmp_path):
    attributes = pd.DataFrame({"digit": LABELS, "even": LABELS % 2 == 0})
    gan = make().fit(IMAGES, attributes)
    samples, labels = gan.sample(20, labels={"even": True}, random_state=0)
    assert samples.shape == (20, 8, 8)
    assert labels["even"].all()
    assert (labels["digit"] % 2 == 0).all()
    vectors = np.random.default_rng(0).normal(size=(1797, 6))
    gan = make().fit(IMAGES, vectors)
    assert gan.sample(4, labels=vectors[0], random_state=0)[0].shape == (4, 8, 8)
    with pytest.raises(ConditionError, match="not kept"):
        gan.sample(4)
    gan.save(tmp_path / "m.synthgan")
    same = load_model(tmp_path / "m.synthgan").sample(labels=vectors[:3], random_state=0)[0]
    assert (same == gan.sample(labels=vectors[:3], random_state=0)[0]).all()
    alone = make().fit(IMAGES).sample(3, random_state=0)
    assert alone.shape == (3, 8, 8)


def test_colours_and_odd_sizes_and_sources(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (30, 9, 14, 3), dtype=np.uint8)
    assert make().fit(colour).sample(2, random_state=0).shape == (2, 9, 14, 3)
    assert make().fit(colour[..., :1]).sample(2, random_state=0).shape == (2, 9, 14, 1)
    labels = np.array(["a", "b"] * 15)
    write_images(tmp_path / "set", colour, labels)
    samples, found = make().fit(tmp_path / "set").sample(2, labels="b", random_state=0)
    assert (samples.shape, found.tolist()) == ((2, 9, 14, 3), ["b", "b"])
    assert make().fit(ImageSet(colour, labels)).classes_ == ["a", "b"]


def test_previews_are_written(tmp_path):
    make(preview=tmp_path / "previews").fit(IMAGES, LABELS)
    files = sorted((tmp_path / "previews").iterdir())
    assert files[-1].name == "step_0000012.png"
    assert np.asarray(Image.open(files[-1])).shape == (71, 71)


def test_time_and_callbacks_end_a_fit():
    seen = []
    gan = make(max_time="2s", options=ImageOptions(), callbacks=[seen.append]).fit(IMAGES, LABELS)
    assert gan.seconds_ < 10
    assert [entry["step"] for entry in seen] == [entry["step"] for entry in gan.history_]
    assert gan.sample(2)[0].shape == (2, 8, 8)
    stopped = make(callbacks=[lambda entry: True]).fit(IMAGES, LABELS)
    assert len(stopped.history_) == 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :1, :1], LABELS, "Images are 1 x 1; both sides must lie between 8 and 128"),
        (np.zeros((3, 200, 20), np.uint8), None, "Images are 200 x 20"),
        (IMAGES[:1], None, "At least two images"),
        (IMAGES, LABELS[:-1], "1796 labels for 1797 images"),
        (IMAGES[:3], [0, 0, 1], "A class has a single image"),
        (IMAGES / 255, LABELS, "must be uint8"),
    ],
)
def test_bad_images_are_refused_before_any_work(images, labels, message):
    with pytest.raises(DataError, match=message):
        make().fit(images, labels)


def test_bad_parameters():
    with pytest.raises(ParameterError, match="preset must be one of 'resnet', 'dcgan', 'vanilla'"):
        make(preset="stylegan").fit(IMAGES)
    with pytest.raises(ParameterError, match="width"):
        make(width=1).fit(IMAGES)
    with pytest.raises(ParameterError, match=r"loss='wgan' is out of range\. Known: relativistic"):
        ImageOptions(loss="wgan")
    with pytest.raises(ParameterError, match="distortions"):
        ImageOptions(distortions=("blur",))


def test_conventions(quick):
    with pytest.raises(NotFittedError):
        make().sample(1)
    copy = clone(quick)
    assert copy.get_params() == quick.get_params()
    assert not hasattr(copy, "generator_")
    with pytest.raises(ConditionError, match="12 is none of the classes"):
        quick.sample(1, labels=12)
    with pytest.raises(ParameterError):
        quick.sample(-1)


@pytest.mark.parametrize("normalised", [True, False])
def test_batch_statistics_never_mix_real_and_generated_images(normalised):
    """A critic with batch norm would tell them apart by what they are mixed with."""
    seen = []

    class Watched(ResidualCritic):
        def forward(self, images, condition):
            seen.append(len(images))
            return super().forward(images, condition)

    generator, critic = ResidualGenerator((8, 8), 1, 4, 0, 8), Watched((8, 8), 1, 0, 8)
    if normalised:
        critic.unused = torch.nn.BatchNorm2d(1)
    for network in (generator, critic):
        network.reset(torch_generator(0, "weights"))
    fit_images(
        generator,
        critic,
        as_bytes(IMAGES[:64, :, :, None]),
        torch.zeros(64, 0),
        ImageOptions(steps=3, batch_size=16),
        held_out=None,
        seed=0,
        precision=None,
        run=Run(),
    )
    assert set(seen) == ({16} if normalised else {16, 32})

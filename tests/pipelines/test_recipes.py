"""Recipes for schedulers, trackers and databases, each with the real package where it is."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures import tiny_gan

from synthgan import load_model
from synthgan.evaluate import evaluate

RECIPES = Path(__file__).resolve().parents[2] / "pipelines" / "recipes"
pytestmark = pytest.mark.filterwarnings("default")  # of packages that are not ours


def recipe(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, 400)
    sick = rng.random(400) < age / 150
    return pd.DataFrame({"age": age, "ward": rng.choice(["a", "b"], 400), "sick": sick})


@pytest.fixture(scope="module")
def model(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.synthgan"
    tiny_gan().fit(table, target="sick").save(path)
    return path


@pytest.fixture
def quick(monkeypatch):
    """Make the shared program fit for a second."""
    import share_health_table

    made = share_health_table.share

    def share(*arguments, **options):
        return made(*arguments, **{**options, "max_time": "1s", "level": "quick"})

    monkeypatch.setattr(share_health_table, "share", share)


def test_duckdb_and_polars_read_what_was_written(table, model, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    import polars as pl

    from synthgan.io import write_table

    path = tmp_path / "rows.parquet"
    rows = load_model(model).sample(500, random_state=0)
    write_table(rows, path)
    counts = duckdb.sql(f"SELECT ward, count(*) AS n FROM '{path}' GROUP BY ward").df()
    assert counts.set_index("ward")["n"].to_dict() == rows["ward"].value_counts().to_dict()
    found = pl.scan_parquet(path).filter(pl.col("sick")).select(pl.len()).collect().item()
    assert found == rows["sick"].sum()


def test_postgres(model, postgres):
    load = recipe("load_postgres").load
    assert load(str(model), 70_000, postgres, "rows") == 70_000
    assert load(str(model), 10, postgres, "rows") == 10
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute('SELECT * FROM "rows"')
        found = cursor.fetch_arrow_table()
    assert found.column_names == ["age", "ward", "sick"]
    assert found["sick"].type == "bool"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A server of its own, on a socket."""
    pytest.importorskip("adbc_driver_postgresql")
    found = shutil.which("initdb") or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
    )
    if (
        found is None
        or os.name != "posix"
        or (os.geteuid() == 0 and shutil.which("runuser") is None)
    ):
        pytest.skip("needs PostgreSQL")
    home = tmp_path_factory.mktemp("postgres")
    before = []
    if os.geteuid() == 0:  # the server refuses to run as root
        before = ["runuser", "-u", "nobody", "--"]
        shutil.chown(home, "nobody")
        for folder in home.parents:
            if folder.owner() == "root" and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
    data, bin_folder = home / "data", Path(found).parent
    make = [*before, found, "-D", str(data), "-U", "tester", "--auth=trust"]
    subprocess.run(make, check=True, capture_output=True)
    control = [*before, str(bin_folder / "pg_ctl"), "-D", str(data)]
    options = f"-k {home} -c listen_addresses="
    start = [*control, "-w", "-o", options, "-l", str(home / "log"), "start"]
    subprocess.run(start, check=True, capture_output=True)
    yield f"postgresql://tester@/postgres?host={home}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


def test_mlflow(table, model, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    log_model = recipe("mlflow_model").log_model
    synthetic = tiny_gan().fit(table).sample(400, random_state=0)
    report = evaluate(table, synthetic, level="quick")
    with mlflow.start_run() as run:
        uri = log_model(str(model), report)
    logged = mlflow.get_run(run.info.run_id).data.metrics
    assert logged["shape_error"] == pytest.approx(report.scores["shape_error"].value)
    served = mlflow.pyfunc.load_model(uri)
    rows = served.predict(pd.DataFrame(), params={"n": 20, "seed": 3})
    assert len(rows) == 20
    pd.testing.assert_frame_equal(rows, served.predict(pd.DataFrame(), params={"n": 20, "seed": 3}))
    known = served.predict(pd.DataFrame({"ward": ["a", "b", "a"]}))
    assert known["ward"].tolist() == ["a", "b", "a"]
    assert not list(tmp_path.rglob("*.pkl"))


def test_prefect(table, tmp_path, monkeypatch, quick):
    pytest.importorskip("prefect")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    from prefect.testing.utilities import prefect_test_harness

    flow = recipe("prefect_flow")
    data, out = tmp_path / "people.parquet", tmp_path / "release"
    table.to_parquet(data)
    with prefect_test_harness():
        try:
            flow.share_nightly(str(data), str(out), target="sick")
            made = out
        except flow.GateFailedError:
            made = tmp_path / "release.refused"
    assert (made / "report.html").exists()


def test_dagster(table, tmp_path, monkeypatch, quick):
    dagster = pytest.importorskip("dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assets = recipe("dagster_assets")
    data, out = tmp_path / "people.parquet", tmp_path / "release"
    table.to_parquet(data)
    settings = {"data": str(data), "out": str(out), "target": "sick"}
    result = dagster.materialize(
        [assets.synthetic_release],
        run_config={"ops": {"synthetic_release": {"config": settings}}},
        raise_on_error=False,
    )
    (check,) = result.get_asset_check_evaluations()
    assert check.passed == out.exists()


def test_airflow(table, tmp_path):
    airflow = Path(sys.executable).with_name("airflow")
    if not airflow.exists():
        pytest.skip("needs Airflow")
    data, out = tmp_path / "people.parquet", tmp_path / "release"
    table.rename(columns={"sick": "disease"}).to_parquet(data)
    settings = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(RECIPES),
        "AIRFLOW_VAR_SYNTHGAN_DATA": str(data),
        "AIRFLOW_VAR_SYNTHGAN_OUT": str(out),
        "OMP_NUM_THREADS": "1",
    }
    for command in (["db", "migrate"], ["dags", "test", "share_health_table"]):
        done = subprocess.run(
            [airflow, *command], env={**os.environ, **settings}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    passed = (out / "synthetic.parquet").exists()
    assert passed != (tmp_path / "release.refused" / "report.html").exists()
    assert (done.returncode == 0) == passed, done.stdout


def test_dvc(table, tmp_path):
    text = (RECIPES / "dvc.yaml").read_text("utf-8")
    (stage,) = yaml.safe_load(text)["stages"].values()
    assert stage["deps"] == ["patients.parquet", "share_health_table.py", "gate.yaml"]
    dvc = shutil.which("dvc", path=str(Path(sys.executable).parent))
    if dvc is None:
        pytest.skip("needs dvc")
    (tmp_path / "dvc.yaml").write_text(text)
    shutil.copy(RECIPES.parent / "share_health_table.py", tmp_path)
    table.rename(columns={"sick": "disease"}).to_parquet(tmp_path / "patients.parquet")
    (tmp_path / "gate.yaml").write_text("scores: {shape_error: {max: 99.0}}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in (["init", "--no-scm", "-q"], ["repro"]):
        done = subprocess.run(
            [dvc, *command], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "release" / "synthetic.parquet").exists()
    again = subprocess.run(
        [dvc, "repro"], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert "didn't change" in again.stdout + again.stderr


def test_flight_draws_no_faster_than_it_is_read(model):
    flight = pytest.importorskip("pyarrow.flight")
    found = recipe("flight_server")
    server = found.RowServer("grpc://127.0.0.1:0", str(model), batch_rows=4096)
    drawn, once = [], server.model.sample_iter

    def counted(*args, **kwargs):
        for batch in once(*args, **kwargs):
            drawn.append(len(batch))
            yield batch

    server.model.sample_iter = counted
    with server, flight.connect(f"grpc://127.0.0.1:{server.port}") as client:
        ticket = flight.Ticket(b'{"rows": 1000000000, "seed": 3, "where": {"ward": "a"}}')
        reader = client.do_get(ticket)
        first = reader.read_chunk().data
        assert len(first) == 4096
        assert set(first["ward"].to_pylist()) == {"a"}
        time.sleep(2)
        assert sum(drawn) < 10**8  # what fits into the buffers of the connection
        reader.cancel()


def test_dask_draws_the_same_rows(model, monkeypatch):
    pytest.importorskip("dask.dataframe")
    found = recipe("dask_sample")
    monkeypatch.setattr(found, "ROWS", 512)
    frame = found.sample(str(model), 1300, seed=2)
    assert frame.npartitions == 3
    whole = load_model(model).sample(1300, random_state=2)
    np.testing.assert_array_equal(frame.compute()["age"], whole["age"])


def test_spark_draws_the_same_rows(model, monkeypatch):
    spark = pytest.importorskip("pyspark.sql")
    found = recipe("spark_sample")
    monkeypatch.setattr(found, "ROWS", 512)
    session = spark.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    with session.getOrCreate() as running:
        rows = found.sample(running, str(model), 1300, seed=2).toPandas()
    whole = load_model(model).sample(1300, random_state=2)
    np.testing.assert_array_equal(rows["age"], whole["age"])

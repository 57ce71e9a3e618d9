r"""Several releases about the same people, from one privacy budget that cannot be overdrawn.

    python pipelines/dp_release.py pipelines/data/heart_disease.parquet releases \
        --epsilon 3 --delta 1e-5

writes, under differential privacy and into ``releases``,

    people.ledger       the budget, and every charge
    whole.parquet       a synthetic table of everybody          (70 % of the budget, as rho)
    sick.parquet        one of the sick alone, with more detail (20 %)
    distances.json      how far ``whole.parquet`` is from the real table (10 %)

A second run finds the budget used up, and releases nothing. The domain below is what a clinician
knows without the data; nothing in it was looked up in them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from synthgan import Column, Schema, TabularGAN
from synthgan.exceptions import BudgetError, DataError, SynthganError
from synthgan.io import read_frame
from synthgan.privacy import DifferentialPrivacy, Ledger
from synthgan.privacy.accounting import epsilon_of, rho_of
from synthgan.privacy.distances import measure_distances

SITES = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
DOMAIN = Schema(
    (
        Column("age", "integer", "int64", bounds=(20, 90), bins=7, missing=False),
        Column("sex", "categorical", "string", levels=("Female", "Male"), missing=False),
        Column("site", "categorical", "string", levels=SITES, missing=False),
        Column(
            "cp", "categorical", "string", missing=False,
            levels=("typical angina", "atypical angina", "non-anginal", "asymptomatic"),
        ),
        Column("trestbps", "integer", "int64", bounds=(80, 220), bins=7),
        Column("thalach", "integer", "int64", bounds=(60, 220), bins=8),
        Column("exang", "boolean", "bool"),
        Column("disease", "boolean", "bool", missing=False),
    )
)  # fmt: skip
#: Shares of the budget in rho, in which costs add up.
WHOLE, SICK, DISTANCES = 0.7, 0.2, 0.1


def release(data: Path, out: Path, *, epsilon: float, delta: float, seed: int = 0) -> Ledger:
    """Write everything, and return the ledger.

    Raises
    ------
    BudgetError
        If the budget of these people is used up.
    """
    table = read_frame(data)
    gone = [name for name in DOMAIN.names if name not in table]
    if gone:
        raise DataError(f"The table has no columns {gone}, which the domain names.")
    table = table[list(DOMAIN.names)]
    out.mkdir(parents=True, exist_ok=True)
    ledger = out / "people.ledger"
    if not ledger.exists():
        Ledger(ledger, epsilon=epsilon, delta=delta)

    def part(share: float) -> DifferentialPrivacy:
        worth = epsilon_of(share * rho_of(epsilon, delta), delta)
        return DifferentialPrivacy(worth, delta, domain=DOMAIN, ledger=ledger)

    gan = TabularGAN(privacy=part(WHOLE), random_state=seed, verbose=0)
    gan.fit(table, target="disease").save(out / "whole.synthgan")
    whole = gan.sample(gan.n_rows_, random_state=seed)  # known with noise; len(table) is secret
    whole.to_parquet(out / "whole.parquet", index=False)

    sick = TabularGAN(privacy=part(SICK), random_state=seed, verbose=0).fit(table[table["disease"]])
    sick.sample(500, random_state=seed).to_parquet(out / "sick.parquet", index=False)

    found = measure_distances(table, whole, part(DISTANCES), random_state=seed)
    (out / "distances.json").write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
    print(found)
    return Ledger(ledger)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Parquet file with the columns of DOMAIN")
    parser.add_argument("out", type=Path, help="folder of the releases")
    parser.add_argument("--epsilon", type=float, required=True, help="budget of all releases")
    parser.add_argument("--delta", type=float, required=True, help="far below one over the people")
    parser.add_argument("--seed", type=int, default=0, help="of fits and samples, never of noise")
    options = vars(parser.parse_args(argv))
    try:
        ledger = release(options.pop("data"), options.pop("out"), **options)
    except (SynthganError, OSError) as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, BudgetError) else 2
    spent, _ = ledger.spent()
    print(f"spent epsilon = {spent:.3f} of {ledger.epsilon:g} at delta = {ledger.delta:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

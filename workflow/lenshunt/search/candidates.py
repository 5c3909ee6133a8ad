"""The list of candidates of a search: ranked, at the survey's prevalence, with units."""

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.table import MaskedColumn, Table
from scipy.special import expit

from lenshunt.core import write_ecsv, write_parquet
from lenshunt.evaluation.calibrate import read_parameters
from lenshunt.evaluation.predictions import read_predictions
from lenshunt.evaluation.prevalence import prevalence_shift
from lenshunt.schema import SLOTS

MAGNITUDES = tuple(f"magnitude_{slot}" for slot in SLOTS)
UNITS = {"ra": u.deg, "dec": u.deg, **dict.fromkeys(MAGNITUDES, u.ABmag)}
#: What some models measure of an object, with unit and meaning.
MEASURED: dict[str, tuple[u.UnitBase, str]] = {
    "chi2_gain": (u.dimensionless_unscaled, "chi2 without less chi2 with a lensed source"),
    "theta_e": (u.arcsec, "Einstein radius of the fitted lens"),
    "epistemic": (u.dimensionless_unscaled, "uncertainty of the network, mutual information, nats"),
    "aleatoric": (u.dimensionless_unscaled, "uncertainty of the image, mean entropy, nats"),
}
DESCRIPTIONS = {
    "rank": "1 for the most probable",
    "probability": "of being a lens, at the prevalence of this search",
    "probability_calibrated": "of being a lens, at the lens fraction of the calibration set",
    "logit": "log odds of `probability`",
    "logit_std": "spread of the calibrated logits between models and seeds",
    "quality": "of the cutout, 0..1",
}
CANDIDATE_COLUMNS = (
    "rank",
    "sample_id",
    "ra",
    "dec",
    *MAGNITUDES,
    "probability",
    "probability_calibrated",
    "logit",
    "logit_std",
    "quality",
    "flags",
    "raw_file",
    *MEASURED,
)


def rank_candidates(
    *, predictions: str, parameters: str, prevalence: float, out_ecsv: str, out_parquet: str
) -> None:
    """Write all scanned objects of a search, the most probable lens first.

    predictions : fused and calibrated table; the rows of split `search` are ranked
    parameters : JSON of its calibration, whose prior the logits are shifted from
    prevalence : fraction of lenses expected among the scanned objects
    """
    table = read_predictions(predictions, ("logit_calibrated",))
    table = table[table["split"] == "search"]
    if table.empty:
        raise ValueError(f"{predictions}: no rows of split `search`; is its role search?")
    prior = read_parameters(parameters)["prior"]
    candidates = candidate_table(table, prior, prevalence)
    write_parquet(candidates, out_parquet)
    ecsv = ecsv_table(candidates)
    ecsv.meta = {"prevalence": prevalence, "prior": prior, "n_scanned": len(candidates)}
    write_ecsv(ecsv, out_ecsv)


def ecsv_table(candidates: pd.DataFrame) -> Table:
    """Candidates with units and descriptions; what no model measured is masked."""
    ecsv = Table.from_pandas(candidates, units=UNITS)
    for name, text in DESCRIPTIONS.items():
        ecsv[name].description = text
    for name in map(str, candidates):
        member, _, quantity = name.rpartition(":")
        if quantity in MEASURED:
            unit, text = MEASURED[quantity]
            of = f"by {member}" if member else "median over the models that measure it"
            values = candidates[name].to_numpy(float)
            ecsv[name] = MaskedColumn(
                values, mask=~np.isfinite(values), unit=unit, description=f"{text}; {of}"
            )
    return ecsv


def measured_by(table: pd.DataFrame, quantity: str) -> list[str]:
    """Columns of `table` with a quantity of MEASURED, of each member of a fusion or of one."""
    columns = map(str, table)
    return [name for name in columns if name == quantity or name.endswith(f":{quantity}")]


def candidate_table(table: pd.DataFrame, prior: float, prevalence: float) -> pd.DataFrame:
    """Candidates by falling probability, then by sample_id.

    Columns CANDIDATE_COLUMNS, of which those of MEASURED are medians over the members that give
    them (NaN where none does), then MEMBER:QUANTITY of every such member.
    """
    calibrated = table["logit_calibrated"].to_numpy(float)
    shifted = prevalence_shift(calibrated, prior, prevalence)
    if "logit_std" not in table:
        table = table.assign(logit_std=np.nan)
    found = {quantity: measured_by(table, quantity) for quantity in MEASURED}
    medians = {
        quantity: table[names].astype(float).median(axis=1) if names else np.nan
        for quantity, names in found.items()
    }
    candidates = table.assign(
        logit=shifted,
        probability=expit(shifted),
        probability_calibrated=expit(calibrated),
        **medians,
    )
    candidates = candidates.sort_values(["logit", "sample_id"], ascending=[False, True])
    candidates = candidates.assign(rank=np.arange(1, len(candidates) + 1))
    members = [name for names in found.values() for name in names if ":" in name]
    return candidates[[*CANDIDATE_COLUMNS, *members]].reset_index(drop=True)

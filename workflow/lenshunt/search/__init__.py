"""What a user acts upon: the list of candidates, and where they lie on a cluster's mass model."""

from lenshunt.search.candidates import CANDIDATE_COLUMNS, rank_candidates

__all__ = ["CANDIDATE_COLUMNS", "rank_candidates"]

"""The cluster check: do candidates sit where the mass model says that lensing is strong?"""

from lenshunt.search.cluster.models import centre_of, mass_models, shown_field
from lenshunt.search.cluster.products import write_cluster_products
from lenshunt.search.cluster.scan import read_candidates

__all__ = [
    "centre_of",
    "mass_models",
    "read_candidates",
    "shown_field",
    "write_cluster_products",
]

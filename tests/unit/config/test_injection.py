"""Injected data sets that cannot be made are refused before any job, with key and remedy."""

import pytest
from config_values import check, values_of

from lenshunt.config import ConfigError


def refused(message, change, **keys):
    """The error of the demo with these keys of data set `injected`, after `change`."""
    values = values_of()
    values["datasets"]["injected"] |= keys
    change(values["datasets"])
    with pytest.raises(ConfigError, match=message):
        check(values)


def nothing(_):
    """No change beside the keys."""


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hosts": "moon"}, r"datasets\.injected\.hosts: 'moon' is not defined; known: .*sdss"),
        ({"hosts": "castles", "survey": "hst"}, r"injected\.hosts: castles holds lenses only"),
        ({"hosts": "injected"}, r"injected\.hosts: injected holds injected lenses itself"),
        ({"hosts": "smacs0723", "survey": "hst"}, r"injected\.hosts: smacs0723 has role search"),
        ({"survey": "des"}, r"injected\.survey: des, but its hosts \(galaxiesml\) are of hsc"),
        ({"chunks": 3}, r"injected\.chunks: 3, but its hosts \(galaxiesml\) are in 2; leave"),
        ({"sources": ["moon"]}, r"injected\.sources: 'moon' is not defined"),
        ({"sources": ["sdss"]}, r"injected\.sources: sdss .* is no data set of HST galaxies"),
        ({"sources": ["castles"]}, r"injected\.sources: castles .* is no data set of HST"),
        ({"sources": ["smacs0723"]}, r"injected\.sources: smacs0723 has role search"),
        ({"theta_e_arcsec": [2.0, 1.0]}, r"injected\.theta_e_arcsec: \[2\.0, 1\.0\] is no range"),
        ({"made_by": "demo"}, r"injected\.made_by: demo, but injected lenses have no raw files"),
        ({"role": "negatives"}, r"role: Input should be 'labelled'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_remedy(keys, message):
    refused(message, nothing, **keys)


def test_hosts_of_other_roles_and_sources_of_hst_are_accepted():
    values = values_of()
    values["datasets"]["injected"] |= {"sources": ["relics"], "chunks": 2}
    check(values)
    values["datasets"]["injected"] |= {"hosts": "sdss", "survey": "sdss", "chunks": 1}
    check(values)


def test_hosts_whose_headers_tell_the_survey_pass_that_on():
    values = values_of()
    values["datasets"]["sdss"]["survey"] = "auto"
    values["datasets"]["injected"] |= {"hosts": "sdss", "survey": "auto"}
    check(values)

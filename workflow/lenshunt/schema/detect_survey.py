"""Which survey an image comes from, by its header."""

import re
from collections.abc import Mapping
from typing import Any

from lenshunt.schema.surveys import Survey, load_surveys, survey_named

#: Value of the config key `survey` that asks for the survey of each file's header.
AUTO = "auto"


def surveys_matching(header: Mapping[str, Any]) -> list[Survey]:
    """Surveys with a signature all of whose keys match `header`, in the order of the table."""
    return [
        survey
        for survey in load_surveys().values()
        if any(_matches(signature, header) for signature in survey.header)
    ]


def _matches(signature: Mapping[str, str], header: Mapping[str, Any]) -> bool:
    return all(
        re.search(pattern, str(header.get(key, "")).strip(), re.IGNORECASE)
        for key, pattern in signature.items()
    )


def detect_survey(header: Mapping[str, Any], where: str) -> Survey:
    """The survey whose signature in resources/surveys.yaml matches `header`.

    where : the file, for the message
    Raises KeyError naming the file, the keys looked at with what they hold, and the remedy, where
    no survey matches or more than one does.
    """
    found = surveys_matching(header)
    if len(found) == 1:
        return found[0]
    problem = (
        f"the header matches the surveys {' and '.join(survey.name for survey in found)}"
        if found
        else "no survey is known by this header"
    )
    raise KeyError(
        f"{where}: {problem} ({_seen(header)}); name the survey in the config instead of "
        f"{AUTO!r}, or add its signature to resources/surveys.yaml"
    )


def _seen(header: Mapping[str, Any]) -> str:
    """The keys of all signatures with the values that `header` has for them."""
    keys = {key for survey in load_surveys().values() for one in survey.header for key in one}
    return ", ".join(
        f"{key} = {str(header[key]).strip()!r}" if key in header else f"no {key}"
        for key in sorted(keys)
    )


def survey_of(configured: str, header: Mapping[str, Any], where: str) -> Survey:
    """The survey of one file: that of its header for "auto", else the configured one.

    Raises KeyError where the header is that of another telescope than the config names (surveys
    of one telescope share the part of their name before "_"); a header without any signature is
    taken for the configured survey.
    """
    if configured == AUTO:
        return detect_survey(header, where)
    survey = survey_named(configured, where)
    found = surveys_matching(header)
    telescopes = {one.name.split("_")[0] for one in found}
    if found and survey.name.split("_")[0] not in telescopes:
        raise KeyError(
            f"{where}: the config names survey {configured}, but the header is that of "
            f"{' or '.join(one.name for one in found)} ({_seen(header)}); correct `survey`, or "
            f"set it to {AUTO!r}"
        )
    return survey

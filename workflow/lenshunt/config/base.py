"""What all configuration models share: unknown keys are errors, values cannot change."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A configuration section; a key that is not defined here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

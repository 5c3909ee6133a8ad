"""What all configuration models share: unknown keys are errors, values cannot change."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Strict(BaseModel):
    """A configuration section; a key that is not defined here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Fractions(Strict):
    """Fractions by kind, which sum to 1."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        total = sum(self.model_dump().values())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the fractions sum to {total:g}, not to 1; change one of them")
        return self

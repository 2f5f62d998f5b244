"""What the schema is made of: pydantic where a configuration is validated, plain records where it is only served.

Every part of the schema imports from here what it needs of pydantic, so that the schema is written once, and what is
pickled in one form is read in the other.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING

from l7 import validation

__all__ = [
    "AfterValidator",
    "BaseModel",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "SecretStr",
    "ValidationInfo",
    "field_validator",
    "model_validator",
]

if TYPE_CHECKING or validation.here:
    from pydantic import (
        AfterValidator,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        SecretStr,
        ValidationInfo,
        field_validator,
        model_validator,
    )
else:
    from l7.config.records import Record as BaseModel
    from l7.config.records import SecretText as SecretStr
    from l7.config.records import Unused as AfterValidator
    from l7.config.records import Unused as BeforeValidator
    from l7.config.records import Unused as ValidationInfo
    from l7.config.records import field as Field
    from l7.config.records import validator as field_validator
    from l7.config.records import validator as model_validator

    ConfigDict = dict


def secret(text: str) -> SecretStr:
    """A secret in the form that it has in this process: what one is pickled as."""
    return SecretStr(text)


copyreg.pickle(SecretStr, lambda value: (secret, (value.get_secret_value(),)))

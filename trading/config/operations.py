"""Settings of operations: runs beside each other, who is told, and how a changed configuration comes into force.

Belongs here: the section `operations` of a desk's settings. Does not belong here: what is traded or measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from trading.config.settings import Secret, StrictSettings, refuse_secret_address

WebAddress = Annotated[
    str, StringConstraints(max_length=500, pattern=r"^https?://[^\s\x00-\x1f]+$"), AfterValidator(refuse_secret_address)
]


class RunSettings(StrictSettings):
    """How runs share one desk."""

    wait_seconds: float = Field(
        30.0, ge=0, le=3600, description="how long a run waits for another one of the same desk, seconds"
    )


class NotifierSettings(StrictSettings):
    """Who is told when something fails."""

    webhook: Secret | None = Field(None, description="address that gets a JSON document; none: log only")
    webhook_url: WebAddress | None = Field(
        None, description="the same as plain text, where it holds no secret: not in production"
    )
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="how long it may take to be told, seconds")

    @model_validator(mode="after")
    def _one(self) -> NotifierSettings:
        if self.webhook is not None and self.webhook_url is not None:
            raise ValueError(
                f"operations.notifier.webhook_url is {self.webhook_url!r} and operations.notifier.webhook is given "
                "too. Take one of them out."
            )
        return self


class ChangeSettings(StrictSettings):
    """How files that change come into force, where somebody watches them (`daybook config watch`)."""

    from_files: Literal["apply", "report"] = Field(
        "report", description="in paper: changed files come into force, or are only reported"
    )
    debounce_seconds: float = Field(0.1, ge=0.01, le=60, description="quiet needed before files are read, seconds")
    max_changes_per_minute: int = Field(30, ge=1, le=10_000, description="more changes than this, and none is taken")
    max_refusals_per_minute: int = Field(10, ge=1, le=10_000, description="the same of refused ones")
    pause_seconds: float = Field(60.0, ge=1, le=86_400, description="how long none is taken then, seconds")
    shards: int = Field(
        1, ge=1, le=256, description="parts, by a hash of the symbol, that a compiled configuration is laid out in"
    )
    validation_timeout_seconds: float = Field(30.0, ge=1, le=600, description="how long checking one may take, seconds")
    validation_memory_mb: float = Field(2_000.0, ge=200, le=1e6, description="memory that checking one may take, MB")


class OperationSettings(StrictSettings):
    """Runs, notices and changes."""

    runs: RunSettings = Field(default_factory=RunSettings, description="runs beside each other")
    notifier: NotifierSettings = Field(default_factory=NotifierSettings, description="notifications")
    changes: ChangeSettings = Field(default_factory=ChangeSettings, description="changes of the configuration")

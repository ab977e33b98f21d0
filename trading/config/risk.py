"""Settings of risk: limits on the whole book, the model they are measured by, and the service that answers about them.

Belongs here: the section `risk` of a desk's settings. Does not belong here: limits on single instruments that every
symbol has (`symbols.py`), which limit is in force for what (`trading/risk/limit_table.py`), or judging anything.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from trading.config.ceilings import within
from trading.config.settings import PRINTABLE, Code, Currency, Name, Secret, StrictSettings, Text, refuse_in_the_clear

Label = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=PRINTABLE), AfterValidator(refuse_in_the_clear)
]
Level = Annotated[float, Field(ge=0, le=1e12)]
Loading = Annotated[float, Field(ge=-1e6, le=1e6)]
Move = Annotated[float, Field(ge=-10, le=10)]  # a fraction of the price
By = Literal[
    "portfolio", "strategy", "instrument", "contract", "holding", "sector", "asset_class", "country", "currency",
    "exchange_group", "factor", "component", "scenario",
]  # fmt: skip
Scope = Literal["check", "reserve", "halt", "read"]
SCOPES: tuple[str, ...] = get_args(Scope)


class RiskLimit(StrictSettings):
    """A limit: the level that refuses and the one that warns, of a rule, for some of what it is measured of. What is
    more closely named goes before; a level that is left out is inherited."""

    rule: Name = Field(description="the rule: a file of trading/risk/rules")
    by: By | None = Field(None, description="what it is measured of, of the rule's; none: its first")
    strategy: Name | None = Field(None, description="only this strategy")
    instrument: Code | None = Field(None, description="only this instrument")
    sector: Label | None = Field(None, description="only this sector, as in reference data")
    asset_class: Label | None = Field(None, description="only this asset class")
    country: Label | None = Field(None, description="only this country")
    currency: Currency | None = Field(None, description="only this currency")
    exchange_group: Label | None = Field(None, description="only this exchange group")
    factor: Name | None = Field(None, description="only this factor of risk.model.factors")
    component: int | None = Field(None, ge=1, le=100, description="only this principal component, from 1 on")
    scenario: Name | None = Field(None, description="only this scenario of risk.model.scenarios")
    refuse: Level | None = Field(None, description="largest value that is let through, in the rule's unit")
    warn: Level | None = Field(None, description="largest value that is not warned of")
    effective_from: date | None = Field(None, strict=False, description="first session it holds in; none: always did")
    effective_until: date | None = Field(None, strict=False, description="last session it holds in; none: always will")
    owner: Text | None = Field(None, description="who may change it")
    reducing: Literal["pass", "judge"] | None = Field(
        None, description="orders that only reduce a position pass it unseen, or are judged as others are"
    )
    missing: Literal["refuse", "warn"] | None = Field(None, description="what an order gets when it cannot be measured")
    rolling: Literal["cut", "warn"] | None = Field(
        None, description="a roll goes into the next contract as far as the limit lets it, or whole with a warning"
    )

    @model_validator(mode="after")
    def _says_something(self) -> RiskLimit:
        levels = (self.refuse, self.warn, self.reducing, self.missing, self.rolling)
        if all(level is None for level in levels):
            raise ValueError(f"the limit of {self.rule} sets nothing. Give refuse, warn, reducing, missing or rolling")
        if self.refuse is not None and self.warn is not None and self.warn > self.refuse:
            raise ValueError(
                f"the limit of {self.rule} warns at {self.warn:g}, above the {self.refuse:g} that it refuses at: "
                "nobody would be warned. Set warn lower"
            )
        if self.effective_from and self.effective_until and self.effective_until < self.effective_from:
            raise ValueError(
                f"the limit of {self.rule} ends on {self.effective_until}, before it begins on {self.effective_from}. "
                "Exchange the two"
            )
        return self


class FactorSettings(StrictSettings):
    """A named factor. Its loadings are estimated from the returns of a basket, or given."""

    basket: Annotated[dict[Code, Loading], Field(min_length=1, max_length=500)] | None = Field(
        None, description="weights of instruments whose scaled returns are the factor's"
    )
    loadings: Annotated[dict[Code, Loading], Field(min_length=1, max_length=5000)] | None = Field(
        None, description="given: standard deviations of the instrument for one of it"
    )

    @model_validator(mode="after")
    def _is_one(self) -> FactorSettings:
        if (self.basket is None) == (self.loadings is None):
            raise ValueError("give a factor either a basket or loadings")
        return self


class ScenarioSettings(StrictSettings):
    """A stress: how far prices move, as fractions of the price. What names no instrument does not move."""

    asset_classes: dict[Label, Move] = Field(
        default_factory=dict, max_length=500, description="move by asset class, as -0.2"
    )
    instruments: dict[Code, Move] = Field(
        default_factory=dict, max_length=5000, description="move of single instruments, over that of their class"
    )


class RiskModelSettings(StrictSettings):
    """How risk is measured."""

    sessions: int = Field(512, ge=20, le=10_000, description="sessions looked back on, for covariance and scenarios")
    half_life_sessions: float = Field(
        64.0, ge=2, le=10_000, description="sessions after which a return weighs half in the covariance"
    )
    confidence: float = Field(0.99, gt=0.5, lt=1, description="of value at risk and expected shortfall")
    loadings: int = Field(
        64, ge=1, le=512, description="common directions kept of the covariance; exact with as many as instruments"
    )
    components: int = Field(3, ge=0, le=20, description="principal components that have limits of their own")
    factors: Annotated[dict[Name, FactorSettings], Field(max_length=50)] = Field(
        default_factory=dict, description="named factors"
    )
    scenarios: Annotated[dict[Name, ScenarioSettings], Field(max_length=50)] = Field(
        default_factory=dict, description="named scenarios"
    )
    exit_fraction: float = Field(0.1, gt=0, le=1, description="share of the volume that an exit may take in a session")
    margin_volatilities: float = Field(
        4.0, ge=0, le=100, description="initial margin where it is not given: daily standard deviations"
    )
    margins_local: Annotated[dict[Code, Level], within("symbols")] = Field(
        default_factory=dict, description="initial margin of a contract as the exchange says, local money"
    )


class RiskInputSettings(StrictSettings):
    """How facts that limits are measured by are read and kept."""

    age_seconds: float = Field(900.0, ge=1, le=86_400, description="how long what was read is used, about; seconds")
    max_age_sessions: int = Field(3, ge=0, le=100, description="sessions after which a model counts as missing")
    timeout_seconds: float = Field(5.0, gt=0, le=120, description="how long a backend may take, seconds")
    failures: int = Field(3, ge=1, le=100, description="failures in a row after which a backend is left alone")
    pause_seconds: float = Field(30.0, ge=0.1, le=3600, description="how long it is left alone then, seconds")


class DecisionSettings(StrictSettings):
    """Decisions on orders that are kept."""

    keep_days: int = Field(400, ge=1, le=36_500, description="days that decisions are kept")
    fail_on_refusal: bool = Field(False, description="the order job's check fails where an order was refused")
    fail_on_targets: bool = Field(False, description="a close fails whose targets, all held, pass a limit")
    halt_on: tuple[Name, ...] = Field(
        (), max_length=100, strict=False, description="rules whose breach by the standing book halts all but reducing"
    )


class TokenSettings(StrictSettings):
    """Who may ask the service for what."""

    token: Secret = Field(description="where the token is found")
    scopes: tuple[Scope, ...] = Field(
        ("check", "read"), min_length=1, max_length=4, strict=False, description="what it may do"
    )
    strategies: tuple[Name, ...] = Field(
        (), max_length=200, strict=False, description="only for these strategies; empty: all"
    )


class RiskServiceSettings(StrictSettings):
    """The service that strategies ask between closes (`daybook risk serve`)."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")] = Field(
        "127.0.0.1", description="address it listens at"
    )
    port: int = Field(8731, ge=1, le=65535, description="port it listens at")
    workers: int = Field(1, ge=1, le=64, description="processes that answer")
    truth: Literal["memory", "file", "redis"] = Field(
        "file", description="where reservations are kept that workers share; memory: of one worker only"
    )
    tokens: Annotated[dict[Name, TokenSettings], Field(max_length=200)] = Field(
        default_factory=dict, description="who may ask, by name; none: nobody"
    )
    max_requests_per_second: float = Field(2_000.0, gt=0, le=1e6, description="of one token; more get 429")
    max_body_bytes: int = Field(262_144, ge=1_024, le=67_108_864, description="of one request; more get 413")
    max_orders: int = Field(1_000, ge=1, le=100_000, description="orders of one list")
    deadline_ms: float = Field(1_000.0, ge=1, le=60_000, description="after which a request is refused unanswered")
    reservation_seconds: float = Field(
        60.0, ge=0.1, le=604_800, description="how long headroom is held for an order that is not heard of again"
    )
    max_reservations: int = Field(65_536, ge=1, le=1_048_576, description="orders at work at once")


class RiskSettings(StrictSettings):
    """What no order and no position may pass. Fractions are of capital."""

    max_gross_exposure_fraction: float = Field(20.0, ge=0, le=1000, description="sum of |notional| / capital")
    max_daily_loss_fraction: float = Field(0.05, ge=0, le=1, description="session loss / capital that stops new orders")
    limits: Annotated[tuple[RiskLimit, ...], within("symbols")] = Field(
        (), strict=False, description="limits of all other rules, and of groups"
    )
    model: RiskModelSettings = Field(default_factory=RiskModelSettings, description="how risk is measured")
    inputs: RiskInputSettings = Field(default_factory=RiskInputSettings, description="facts it is measured by")
    decisions: DecisionSettings = Field(default_factory=DecisionSettings, description="decisions on orders")
    service: RiskServiceSettings = Field(default_factory=RiskServiceSettings, description="the service")

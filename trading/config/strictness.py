"""What an environment asks of a desk's settings beyond what every desk keeps to.

Belongs here: rules over several sections, each with the environments it holds in; a sentence names both settings and
both values. Does not belong here: the bounds of one setting, or rules within a section (they stand with it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from trading.config.strategies import sees_the_future

if TYPE_CHECKING:
    from trading.config.models import DeskSettings

ROOT_OF_YEAR = 16.0  # annual to daily volatility
_REAL = ("paper", "production")  # where what is decided is sent to somebody
_PRODUCTION = ("production",)


class TooLoose(ValueError):
    """Settings that an environment does not allow: `faults` are sentences, one for each rule that is broken."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(faults))


def too_loose(desk: DeskSettings) -> Iterator[str]:
    """A sentence for each rule of the desk's environment that its settings break."""
    for environments, rule in RULES:
        if desk.environment in environments:
            yield from rule(desk)


def _real_prices(desk: DeskSettings) -> Iterator[str]:
    if desk.data.vendor.name == "simulated":
        yield (
            "environment is production and data.vendor.name is simulated: nobody trades on made-up prices. Set "
            "data.vendor.name, or environment = 'development'."
        )


def _no_faults(desk: DeskSettings) -> Iterator[str]:
    if desk.data.vendor.faults:
        yield (
            f"environment is {desk.environment} and data.vendor.faults is {', '.join(desk.data.vendor.faults)}: faults "
            "are injected in development only. Empty data.vendor.faults."
        )


def _an_account(desk: DeskSettings) -> Iterator[str]:
    broker = desk.trading.broker
    if broker.name != "paper" and broker.account is None:
        yield (
            f"environment is {desk.environment}, trading.broker.name is {broker.name} and trading.broker.account is "
            "not set: orders and statements must name one account. Set trading.broker.account."
        )


def _a_broker(desk: DeskSettings) -> Iterator[str]:
    if desk.trading.broker.name == "paper":
        yield (
            "environment is production and trading.broker.name is paper: its fills are made up. Set "
            "trading.broker.name, or environment = 'paper'."
        )


def _an_owner(desk: DeskSettings) -> Iterator[str]:
    if desk.trading.reconciliation.owner is None:
        yield (
            "environment is production and trading.reconciliation.owner is not set: nobody looks after a break with "
            "the broker. Set trading.reconciliation.owner."
        )


def _told_in_secret(desk: DeskSettings) -> Iterator[str]:
    if desk.operations.notifier.webhook_url is not None:
        yield (
            "environment is production and operations.notifier.webhook_url is given as plain text: whoever reads the "
            "file can write to it. Write operations.notifier.webhook = { env = 'NAME' }."
        )


def _a_loss_stop(desk: DeskSettings) -> Iterator[str]:
    loss, target = desk.risk.max_daily_loss_fraction, desk.capital.volatility_target_percent
    usual = target / 100 / ROOT_OF_YEAR
    if loss < usual:
        yield (
            f"risk.max_daily_loss_fraction ({loss:g}) is below one usual day of "
            f"trading.capital.volatility_target_percent ({target:g} % a year, {usual:.4f} a day): trading would stop "
            "every few days. Raise the first, or lower the second."
        )
    if loss > 0.5:
        yield f"risk.max_daily_loss_fraction ({loss:g}) is above 0.5 and environment is production. Lower it."


def _no_foresight(desk: DeskSettings) -> Iterator[str]:
    for strategy in desk.strategies:
        options = sees_the_future(strategy)
        if options:
            yield (
                f"environment is production and strategy {strategy.name} sees the future by {', '.join(options)}: its "
                "backtest is no evidence for trading it. Set them as shipped."
            )


def _shares(desk: DeskSettings) -> Iterator[str]:
    total = sum(strategy.capital_share for strategy in desk.strategies)
    if total > 1 + 1e-9:
        shares = ", ".join(f"{strategy.name} {strategy.capital_share:g}" for strategy in desk.strategies)
        yield (
            f"environment is production and capital_share of the strategies comes to {total:g} ({shares}), more than "
            "the capital there is. Lower them to 1 together."
        )


RULES: tuple[tuple[tuple[str, ...], Callable[[DeskSettings], Iterator[str]]], ...] = (
    (_PRODUCTION, _real_prices),
    (_REAL, _no_faults),
    (_REAL, _an_account),
    (_PRODUCTION, _a_broker),
    (_PRODUCTION, _an_owner),
    (_PRODUCTION, _told_in_secret),
    (_PRODUCTION, _a_loss_stop),
    (_PRODUCTION, _no_foresight),
    (_PRODUCTION, _shares),
)

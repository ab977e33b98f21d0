"""Every error Daybook raises on purpose, in one tree.

Belongs here: exception classes and the sentences they build. Does not belong here: findings about data (`Violation`),
limits (`Breach`) or the broker (`Break`), which are values, and the translation of a driver's own errors, which each
adapter does once and keeps as `__cause__`.

A message says what was found, about what, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date


class DaybookError(Exception):
    """The root. `exit_code` is what a command that stops on this error returns to the shell."""

    exit_code = 1


class UsageError(DaybookError):
    """What was asked for cannot be done as asked: exit code 2."""

    exit_code = 2


class NotASession(UsageError):
    """A date on which the desk does not trade was given as a session."""

    def __init__(self, day: date, reason: str, before: date | None, after: date | None) -> None:
        self.day, self.reason, self.before, self.after = day, reason, before, after
        around = " and ".join(
            f"the session {word} it is {near}" for word, near in (("before", before), ("after", after)) if near
        )
        beside = f" {around[:1].upper()}{around[1:]}." if around else ""
        super().__init__(f"{day} is not a session: {reason}.{beside}")


class ConfigError(DaybookError):
    """A setting is missing, unknown or out of bounds. `faults`: a sentence each, where there may be several."""

    exit_code = 2

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__(message)


class UnknownSymbol(ConfigError):
    """A symbol that the configuration in force does not hold. `did_you_mean` is a known one like it, or None."""

    def __init__(self, symbol: object, did_you_mean: str | None, known: int) -> None:
        self.symbol, self.did_you_mean, self.known = symbol, did_you_mean, known
        near = f" Did you mean {did_you_mean}?" if did_you_mean else ""
        super().__init__(
            f"symbol {str(symbol)[:60]!r} is not among the {known:,} of the configuration in force.{near} Correct it, "
            "or add it to the reference data or the symbol table and apply the configuration."
        )

    def __reduce__(self) -> tuple[type[UnknownSymbol], tuple[object, ...]]:
        return type(self), (self.symbol, self.did_you_mean, self.known)


class NotTakenHere(ConfigError):
    """What is in force is whole, and the environment variables of this process do not take it."""


class StaleVersion(ConfigError):
    """Somebody else put another configuration in force first: nothing was changed."""


class SnapshotRefused(ConfigError):
    """A compiled configuration is damaged, cut short, of another version of Daybook, or not there."""


class BadInput(DaybookError):
    """Input from outside is wrong; nothing of it was written.

    `where` names the file (or vendor answer); `row` counts data rows as a text editor counts lines, header = 1.
    """

    exit_code = 2

    def __init__(
        self,
        found: str,
        *,
        where: str,
        cure: str,
        row: int | None = None,
        column: str | None = None,
        value: object | None = None,
    ) -> None:
        self.found, self.where, self.cure = found, where, cure
        self.row, self.column, self.value = row, column, value
        place = [where]
        if row is not None:
            place.append(f"line {row}")
        if column is not None:
            place.append(f"column {column}")
        shown = "" if value is None else f" (value {value!r})"
        super().__init__(f"{', '.join(place)}: {found}{shown}. {cure}")


class ReferenceDataError(DaybookError):
    """Reference data is missing or contradicts itself."""

    exit_code = 2


class UnknownInstrument(ReferenceDataError):
    """Data or a command names an instrument that reference data does not hold."""

    def __init__(self, code: str, known: Sequence[str], where: str = "reference/instruments.csv") -> None:
        self.code = code
        near = ", ".join(sorted(known)[:8])
        super().__init__(
            f"instrument {code} is not in the reference data ({where}). "
            f"Add a row for it there, or leave it out with --instruments. Known instruments start: {near}."
        )


class MissingFxPair(ReferenceDataError):
    """A currency cannot be converted to the base currency."""

    def __init__(self, currency: str, base: str) -> None:
        self.currency, self.base = currency, base
        super().__init__(
            f"no exchange rate from {currency} to {base}: neither {currency}{base} nor {base}{currency} was delivered. "
            f"Add the pair to the vendor's FX data, or leave out the instruments that trade in {currency}."
        )


class VendorError(DaybookError):
    """A vendor could not answer: not the same as having no data."""


class BrokerError(DaybookError):
    """A broker could not answer: never read as flat."""


class StoreError(DaybookError):
    """A store failed."""


class StoreUnavailable(StoreError):
    """A store cannot be reached, or its disk is full or read-only."""


class StoreBusy(StoreError):
    """Another process holds the store's write lock."""


class DatasetNotFound(StoreError):
    """Nothing was ever written to this dataset."""

    exit_code = 2


class VersionNotFound(StoreError):
    """No version of a dataset answers to this number or instant."""

    exit_code = 2


class SchemaMismatch(StoreError):
    """Rows do not have the columns or types of their dataset."""


class LedgerError(StoreError):
    """The ledger refused a batch; nothing of it was recorded."""


class EventConflict(LedgerError):
    """An event id was used before with other content."""


class IllegalMove(LedgerError):
    """An order, a close or a break cannot go from where it is to where an event takes it."""


class LedgerSchemaError(LedgerError):
    """The ledger was written by another version of Daybook."""


class KeyMissing(DaybookError):
    """There is no key to sign or to verify with."""


class SignatureError(DaybookError):
    """Something that was signed is not what it was: an event, a version, or the signature itself."""


class LiveRefused(DaybookError):
    """A live order may not be sent, or a live configuration not be signed. Each reason has a class of its own."""


class LiveUnsigned(LiveRefused):
    """Nobody signed a live configuration for this desk."""


class LiveUnreadable(LiveRefused):
    """The signed live configuration is not what signing writes, to the byte."""


class LiveFormatUnknown(LiveRefused):
    """It was signed in a format that this version does not know."""


class LiveKeyUntrusted(LiveRefused):
    """The key that signed is not in the key ring."""


class LiveKeyChanged(LiveRefused):
    """The key ring holds another key under a trusted name."""


class LiveSignatureWrong(LiveRefused):
    """The signature is not of these bytes."""


class LiveOtherEnvironment(LiveRefused):
    """The desk is not in production."""


class LiveOtherBroker(LiveRefused):
    """It was signed for another broker."""


class LiveOtherAccount(LiveRefused):
    """It was signed for another account."""


class LiveOtherHome(LiveRefused):
    """It was signed for the desk in another folder, of which this is a copy."""


class LiveOlderVersion(LiveRefused):
    """It was signed for an earlier version than the one in force: an old signature was put back."""


class LiveOtherConfiguration(LiveRefused):
    """It was signed for a configuration that is not the one in force."""


class LiveNotYet(LiveRefused):
    """The clock stands before the moment of signing."""


class LiveExpired(LiveRefused):
    """It was signed until a moment that has passed."""


class LiveTermWrong(LiveRefused):
    """It was signed for a time that nobody may sign for."""


class LiveForged(LiveRefused):
    """A capability that verification did not make: built by hand, copied, unpickled or changed."""


class LivePermitMissing(LiveRefused):
    """A broker that sends orders was asked for without a permit."""


class LiveOrderFromPaper(LiveRefused):
    """An order that was handed over on paper is not sent live."""


class LivePricesMadeUp(LiveRefused):
    """The desk's prices are, or were once, those of the simulated market."""


class PaperOnly(LiveRefused):
    """A paper desk met an account that is not a paper account."""


class LiveKeyUnusable(LiveRefused):
    """The private key that was named, or its token, cannot be used to sign."""

    exit_code = 2


class CloseRefused(DaybookError):
    """A close cannot move on: a gate is not passed, and nobody overrode it."""


class BackupError(DaybookError):
    """A snapshot is missing, incomplete or does not match its hashes."""


class CalculationError(DaybookError):
    """A calculation cannot go on with the values it was given."""


class MissingRollGap(CalculationError):
    """A roll has no price for both contracts, so the series cannot be stitched."""


class WorkStopped(DaybookError):
    """Work was stopped before its end; `done` of `total` items were finished, and what they gave was given out."""

    def __init__(self, reason: str, done: int, total: int, cure: str, of: str = "items") -> None:
        self.reason, self.done, self.total = reason, done, total
        super().__init__(f"{reason}, after {done:,} of {total:,} {of}. {cure}")


class DeadlinePassed(WorkStopped):
    """The time that was given is over."""


class MemoryCeilingPassed(WorkStopped):
    """A worker held more memory than was allowed."""


class Cancelled(WorkStopped):
    """Somebody asked for the work to stop."""


class WorkerLost(WorkStopped):
    """A worker died twice on the same items."""


class BacktestError(DaybookError):
    """A backtest could not be made or carried out."""


class WrongSpecification(BacktestError):
    """A backtest was specified wrongly: nothing was computed."""

    exit_code = 2


class StageFailed(BacktestError):
    """A stage of a backtest failed. `instrument` and `session` are known where the stage could tell; the exit code is
    that of what went wrong."""

    def __init__(
        self,
        backtest: str,
        stage: str,
        reason: str,
        instrument: str | None = None,
        session: date | None = None,
        exit_code: int = 1,
    ) -> None:
        self.backtest, self.stage, self.reason = backtest, stage, reason
        self.instrument, self.session, self.exit_code = instrument, session, exit_code
        place = [f"backtest {backtest}", f"stage {stage}"]
        place += [f"instrument {instrument}"] if instrument else []
        place += [f"session {session}"] if session else []
        super().__init__(f"{', '.join(place)}: {reason}")

    def __reduce__(self) -> tuple[type[StageFailed], tuple[object, ...]]:
        own = (self.backtest, self.stage, self.reason, self.instrument, self.session, self.exit_code)
        return type(self), own

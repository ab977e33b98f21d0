"""Live orders of a desk: the permit that its broker gets, and signing, verifying and telling its live configuration.

Belongs here: what is in force, the file, the clock. Does not belong here: what is signed and what a signature yields
(`trading/config/live.py`), keys (`live_keys.py`), or making the broker (`brokers.py`).

    <home>/config/live.json     the signed live configuration: of one version, so applying another one ends it
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pipelines import live_keys
from pipelines.in_force import CONFIGURATION_TAG, read_document_of
from pipelines.settings import Place, read_settings
from pipelines.wiring import compiled_files, frame_store, ledger, utc_now
from trading.config.live import (
    BACK_TO_PAPER,
    LONGEST,
    PRODUCTION,
    LiveCapability,
    PaperPermit,
    Proof,
    Standing,
    Terms,
    key_id,
    sign,
    verified,
)
from trading.config.models import DeskSettings
from trading.config.versions import STREAM, VersionRecord, history_of
from trading.errors import (
    LiveOrderFromPaper,
    LiveOtherAccount,
    LiveOtherConfiguration,
    LiveOtherEnvironment,
    LivePricesMadeUp,
    LiveRefused,
    LiveTermWrong,
    UsageError,
)
from trading.frames import DATASETS

MADE_UP = "simulated"  # the vendor that is none


def permit_of(where: Place, settings: DeskSettings) -> LiveCapability | PaperPermit:
    """Under what the broker of a desk sends orders: on paper outside production; in it, what the signed live
    configuration yields now. Raises LiveRefused where it yields nothing."""
    if settings.environment != PRODUCTION:
        return PaperPermit(settings.environment)
    return _verified(where, settings)


def proof_of(where: Place, settings: DeskSettings) -> Proof:
    """What a sender of the desk asks each time it uses a capability: whether its signature holds by the desk's ring and
    what is in force in the home, both read anew."""

    def prove(permit: LiveCapability, now: datetime) -> None:
        verified(permit.signed, live_keys.trusted(where), standing(where, settings), now)

    return prove


def standing(where: Place, settings: DeskSettings) -> Standing:
    """What a signature is held against: these settings, as the version that the journal says is in force. Raises
    LiveOtherConfiguration where the pointer to it, or the settings, say another, and LivePricesMadeUp."""
    broker, newest = settings.trading.broker, _in_force(where)
    _refuse_other_settings(where, settings, newest)
    _refuse_made_up_prices(where)
    return Standing(
        newest.configuration, newest.number, settings.environment, broker.name, broker.account, str(where.home)
    )


def sign_live(where: Place, account: str, expires: date, key: str | None) -> dict[str, Any]:
    """Signs what is in force, for an account, until the end of a day (UTC), and writes it. Raises LiveRefused, and then
    nothing is written."""
    settings, now = read_settings(where), utc_now().replace(microsecond=0)
    _refuse_environment(settings)
    _refuse_account(settings, account)
    until = _end_of(expires, now)
    held = standing(where, settings)
    _refuse_paper_orders(where)
    with_key = live_keys.signing_key(key)
    name = live_keys.trusted_or_how(where, with_key.public())
    terms = Terms(held.configuration, held.number, held.broker, account, held.home, now, until, name)
    signed = sign(terms, with_key.sign)
    found = verified(signed, live_keys.trusted(where), held, now)
    file = live_keys.live_file(where)
    file.write(signed)
    return {**_told(found.terms), "written": str(file.path)}


def verify_live(where: Place) -> dict[str, Any]:
    """What the signed live configuration says, after it was verified against what is in force. Raises LiveRefused."""
    settings = read_settings(where)
    _refuse_environment(settings)
    return _told(_verified(where, settings).terms)


def status(where: Place) -> dict[str, Any]:
    """Whether live orders could be sent now, and why not; where the key ring is, and who is in it."""
    settings = read_settings(where)
    broker = settings.trading.broker
    about = {"environment": settings.environment, "broker": broker.name, "account": broker.account or ""}
    try:
        found = {"live": True, "why": "a signed live configuration is in force"} | verify_live(where)
    except LiveRefused as refused:
        found = {"live": False, "why": str(refused), "refused": type(refused).__name__}
    return {**about, **found, "key_ring": str(live_keys.ring(where)), "trusted_keys": _names(where)}


def ended_by(where: Place, version: VersionRecord) -> tuple[str, ...]:
    """What to say of the live signature that a version ended: that of the version before it."""
    try:
        signed = live_keys.live_file(where).read().terms.number
    except LiveRefused:
        return ()
    if signed != version.number - 1:
        return ()
    again = ": sign again with `daybook live sign`" if version.environment == PRODUCTION else ""
    return (f"the live signature of version {signed} has ended{again}",)


def key_of(given: str | None) -> dict[str, Any]:
    """A key's id, and its public part as a key ring keeps it. Raises LiveKeyUnusable."""
    public = live_keys.signing_key(given).public()
    return {"key": key_id(public), "file": f"{key_id(public)}.pub", "pem": live_keys.public_pem(public)}


def _verified(where: Place, settings: DeskSettings) -> LiveCapability:
    """What the signed live configuration of a home yields now. Raises LiveRefused."""
    return verified(live_keys.live_file(where).read(), live_keys.trusted(where), standing(where, settings), utc_now())


# --- what is in force -------------------------------------------------------------------------------------------------
def _in_force(where: Place) -> VersionRecord:
    history = history_of(entry.event for entry in ledger(where).entries(streams=[STREAM]))
    pointer = compiled_files(where).pointer()
    if not history or pointer is None:
        raise LiveOtherConfiguration(
            f"no configuration was put in force in {where.home}: run daybook config apply --reason, then sign it."
        )
    newest = history[-1]
    if (pointer.number, pointer.configuration) != (newest.number, newest.configuration):
        raise LiveOtherConfiguration(
            f"the journal says that version {newest.number} ({newest.configuration[:12]}) is in force, and its pointer "
            f"{pointer.number} ({pointer.configuration[:12]}). Run daybook config status, which puts the pointer "
            "right, then try again."
        )
    return newest


def _refuse_other_settings(where: Place, settings: DeskSettings, newest: VersionRecord) -> None:
    """Settings are compared with the document of the version as it reads today, not by its hash: a Daybook that knows
    a setting more fills it in, in both, and what was signed is the document."""
    if settings.content_hash() == read_document_of(newest.configuration, where).content_hash():
        return
    said = f"version {newest.number} ({newest.configuration[:12]}) is in force"
    if where.configuration is not None:
        raise LiveOtherConfiguration(
            f"this run opens configuration {where.configuration[:12]}, which was in force when it was asked for (its "
            f"tag {CONFIGURATION_TAG}), and now {said}. Close the session by a new run."
        )
    raise LiveOtherConfiguration(
        f"{said}, and the settings at hand are others ({settings.content_hash()[:12]}): another version was applied "
        "meanwhile. Close the session again."
    )


def _refuse_made_up_prices(where: Place) -> None:
    """Settings say whom prices come from now, raw rows who delivered them; those are never taken away, and whatever is
    decided is decided on all of them."""
    frames = frame_store(where)
    written = frames.written()
    for raw in (each for each in DATASETS.values() if "vendor" in each.series and each.name in written):
        rows = frames.history(raw, through=date.max, series=[MADE_UP], columns=["session"]).num_rows
        if rows:
            raise LivePricesMadeUp(
                f"{rows:,} rows of {raw.name} in {where.home} are of vendor {MADE_UP}: orders would be decided on "
                "made-up prices, and what was delivered stays. Load your own vendor's prices into a new --home, apply "
                "its configuration there, and sign that."
            )


def _refuse_environment(settings: DeskSettings) -> None:
    if settings.environment != PRODUCTION:
        raise LiveOtherEnvironment(
            f"the desk is in environment {settings.environment}: its orders are on paper, and only what is in force in "
            f"{PRODUCTION} is signed. Apply a configuration with environment = '{PRODUCTION}' first."
        )


def _refuse_account(settings: DeskSettings, account: str) -> None:
    if settings.trading.broker.account != account:
        raise _as_usage(
            LiveOtherAccount(
                f"--account is {account}, and trading.broker.account in force is {settings.trading.broker.account}. "
                "Give that one, or apply a configuration with yours."
            )
        )


def _end_of(expires: date, now: datetime) -> datetime:
    """The end of the last day (UTC) of a signature that is made now."""
    last = (now + LONGEST).date() - timedelta(days=1)
    if not now.date() <= expires <= last:
        raise _as_usage(
            LiveTermWrong(
                f"--expires is {expires}, and it must be a day from today, {now.date()}, to {last}, a year ahead at "
                "most (UTC). Give one of those."
            )
        )
    return datetime.combine(expires, time(), UTC) + timedelta(days=1)


def _as_usage(refused: LiveRefused) -> LiveRefused:
    """The same, of what was typed: wrong usage for the shell."""
    refused.exit_code = UsageError.exit_code
    return refused


def _refuse_paper_orders(where: Place) -> None:
    """Orders that were decided on paper and are still at work would be handed over live by the next close."""
    from pipelines.brokers import handed_live
    from trading.book.order_life import OPEN

    rows = [row for row in ledger(where).rows("orders", {"level": "contract"}) if row["status"] in OPEN]
    on_paper = sorted({str(row["order_id"]) for row in rows} - handed_live(where.home))
    if on_paper:
        raise LiveOrderFromPaper(
            f"{len(on_paper)} orders are at work on paper, {on_paper[0]} the first, and the next close would send them "
            f"live: nothing was signed. {BACK_TO_PAPER}"
        )


def _told(terms: Terms) -> dict[str, Any]:
    return {
        "broker": terms.broker, "account": terms.account, "home": terms.home, "version": terms.number,
        "configuration": terms.configuration, "signed_at": terms.signed_at.isoformat(),
        "expires_at": terms.expires_at.isoformat(), "key": terms.key_id,
    }  # fmt: skip


def _names(where: Place) -> str:
    try:
        return ", ".join(sorted(live_keys.trusted(where))) or "none"
    except LiveRefused as refused:
        return str(refused)

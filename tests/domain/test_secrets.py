"""What looks like a secret is neither taken as a setting nor repeated; what people write in settings is no secret."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from resources.symbol_csv import parsed_table
from trading.config.documents import dotted, shown
from trading.config.models import DeskSettings
from trading.config.refusals import refusals
from trading.config.secrets import looks_secret
from trading.config.strategies import StrategySettings
from trading.config.symbol_fields import checked
from trading.config.symbol_table import symbol_table
from trading.config.versions import refuse_unsigned
from trading.errors import ConfigError, UsageError

URL = "https://me:hunter2@x.org"
HOOKS = (
    "https://hooks.slack.com/services/T01/B02/abc",
    "https://discord.com/api/webhooks/1/abc",
    "https://discordapp.com/api/webhooks/1/abc",
    "https://api.telegram.org/bot12:abc/sendMessage",
    "https://acme.webhook.office.com/webhookb2/x",
    "https://desk.example/hooks/Zk3v9QpLw7Rt2Xy8BnMc",
    "https://desk.example/3f2504e0-4f89-11d3-9a0c-0305e82c3301/in?x=1",
)


@pytest.mark.parametrize("text", [URL, "password=hunter2", "see https://x.org/?token=1", "{'api_key': 'x'}", *HOOKS])
def test_what_is_a_secret(text: str) -> None:
    assert looks_secret(text)
    assert shown(text) == "not shown here"
    assert text not in dotted(("symbols", text))


@pytest.mark.parametrize(
    "text",
    [
        "https://desk.example/notifications/daybook-of-the-futures-desk-2024",
        "https://desk.example:8443/api/v2/alerts",
        "https://statusboard.internal.example/of_the_european_desk/incoming",
        "http://127.0.0.1:9/x",
        "/data/prices/2f9a0c11-panama-back-adjusted-2024.csv",
        "DU1234567",
        "the token of the gateway",
        "hooks.slack.com",
    ],
)
def test_what_is_none(text: str) -> None:
    assert not looks_secret(text)
    assert shown(text)[:40] == repr(text)[:40]


def said(document: dict[str, object]) -> str:
    """Why a desk's settings are refused."""
    with pytest.raises(ValidationError) as cause:
        DeskSettings.model_validate(document)
    return " ".join(refusals(cause.value, DeskSettings))


@pytest.mark.parametrize(
    "document",
    [
        {"symbols": {"symbols": {"GOLD": {URL: 1}}}},
        {URL: 1},
        {"trading": {"broker": {"host": HOOKS[0]}}},
        {"trading": {"broker": {"account": "password=hunter2"}}},
        {"risk": {"max_daily_loss_fraction": URL}},
    ],
)
def test_no_refusal_of_settings_repeats_one(document: dict[str, object]) -> None:
    sentence = said(document)
    assert "not shown here" in sentence
    assert not any(word in sentence for word in ("hunter2", "slack", "x.org"))


@pytest.mark.parametrize("address", HOOKS)
def test_an_address_that_is_a_secret_is_no_plain_setting(address: str) -> None:
    sentence = said({"operations": {"notifier": {"webhook_url": address}}})
    assert sentence.startswith("operations.notifier.webhook_url holds a secret in the clear")
    assert "operations.notifier.webhook = { env = 'NAME' }" in sentence
    assert address.partition("//")[2] not in sentence


@pytest.mark.parametrize(
    "content",
    [
        f"symbol,trading_mode\nGOLD,{URL}\n",
        f"symbol,max_spike\nGOLD,{URL}\n",
        f"symbol,max_spike\n{URL},3\n",
        f"symbol,max_spike\nGOLD,3,{URL}\n",
        f"symbol,max_spike\nGOLD,3,{'x' * 55},https://me:{'y' * 60}hunter2@x.org\n",
        f'symbol,max_spike\n"GOLD,{URL}\n',
        f"symbol,{URL}\nGOLD,3\n",
        f"symbol;{URL}\nGOLD;3\n",
        "symbol,max_spike\nGOLD,password=hunter2\n",
    ],
)
def test_no_refusal_of_a_table_repeats_one(content: str) -> None:
    with pytest.raises(ConfigError) as cause:
        parsed_table(content.encode(), "t.csv")
    assert "not shown here" in str(cause.value)
    assert not any(word in str(cause.value) for word in ("hunter2", "yyy", "x.org"))


def test_nor_one_of_rows_that_a_program_gives() -> None:
    with pytest.raises(ConfigError, match="not shown here") as cause:
        symbol_table(pa.table({"symbol": ["GOLD"], URL: ["1"]}), "rows")
    assert "hunter2" not in str(cause.value)
    with pytest.raises(ConfigError, match="not shown here is not a setting") as cause:
        checked({URL: 1})
    assert "hunter2" not in str(cause.value)


@pytest.mark.parametrize(
    "text",
    [
        "client_secret=hunter2",
        "use access-token: hunter2",
        "authorization: Bearer hunter2",
        "https://desk.example/x?auth=hunter2",
        "ghp_Zk3v9QpLw7Rt2Xy8BnMcAA",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "the key is AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_names_and_beginnings_that_services_give_tokens(text: str) -> None:
    assert looks_secret(text)


@pytest.mark.parametrize("text", ["author: ada", "AKIA", "sk_live", "a token for the broker", "https://x.org/?limit=3"])
def test_words_that_only_begin_alike(text: str) -> None:
    assert not looks_secret(text)


SPOKEN = f"see {URL}?token=hunter2"


def texts(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Every setting that may be a text, and every name of a table, as `Model.field` with its kind."""
    for name, field in model.model_fields.items():
        yield from within(f"{model.__name__}.{name}", field.annotation, tuple(field.metadata))


def within(name: str, kind: Any, rules: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from texts(kind)
    elif kind is str:
        yield name, Annotated[(str, *rules)] if rules else str
    elif get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        yield from within(name, inner, (*more, *rules))
    elif get_origin(kind) is not Literal:
        inherited = rules if get_origin(kind) in (Union, UnionType) else ()
        for part in get_args(kind):
            yield from within(name, part, inherited)


ALL_TEXTS = [*texts(DeskSettings), *texts(StrategySettings)]


def test_no_text_of_any_setting_may_be_one() -> None:
    names = {name for name, _ in ALL_TEXTS}
    assert {"StrategySettings.description", "BrokerSettings.symbols", "CsvColumns.file_pattern"} <= names
    taken = set()
    for name, kind in ALL_TEXTS:
        try:
            taken |= {name} if TypeAdapter(kind).validate_python(SPOKEN) == SPOKEN else set()
        except ValidationError:
            continue
    assert taken == {"SymbolsSettings.table"}, "a place below a folder, which is held to letters of its own"
    with pytest.raises(ValidationError):
        DeskSettings.model_validate({"symbols": {"table": SPOKEN}})


def test_a_setting_called_password_is_to_be_changed() -> None:
    sentence = said({"trading": {"broker": {"password": "hunter2", "gateway_token": "x", "acount": "x"}}})
    assert "trading.broker.password is not a setting. If its value is a secret, it was readable" in sentence
    assert "trading.broker.gateway_token is not a setting. If its value is a secret" in sentence
    assert "trading.broker.acount is not a setting. Did you mean account?" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("option", ["reason", "author"])
def test_what_is_said_for_the_journal_is_none(option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} looks like it holds a password") as cause:
        refuse_unsigned(**{"author": "ada", "reason": "less risk", option: SPOKEN})
    assert "hunter2" not in str(cause.value)
    assert refuse_unsigned("ada", "the token of the gateway was late") == ("ada", "the token of the gateway was late")

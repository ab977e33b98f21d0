"""What looks like a secret is neither taken as a setting nor repeated; what people write in settings is no secret."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from resources.symbol_csv import parsed_table
from trading.config.documents import dotted, shown
from trading.config.models import DeskSettings
from trading.config.refusals import refusals
from trading.config.secrets import looks_secret
from trading.config.symbol_fields import checked
from trading.config.symbol_table import symbol_table
from trading.errors import ConfigError

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

"""The `daybook` command.

Belongs here: what people type, and what is printed. Does not belong here: what a command does (`runs.py` runs jobs,
`desk.py` reads). Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import math
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.settings import DEPLOYMENTS, Place, place
from trading.errors import DaybookError, UsageError

if TYPE_CHECKING:
    from pipelines.desk import Desk

Command = TypeVar("Command", bound=Callable[..., Any])
DAY = click.DateTime(formats=["%Y-%m-%d"])


class Amount(click.FloatRange):
    """A number more than nothing, and a number at all."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e12)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's; NaN, which no bound catches, is refused."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not a number more than 0.", param, ctx)
        return found


AMOUNT = Amount()


@atexit.register
def _uncollected() -> None:
    """What a command has loaded is not searched for garbage as it ends: 0.03 to 0.1 s. DuckDB wants to be."""
    if "duckdb" not in sys.modules:
        gc.freeze()


class Answer:
    """What a command found: data for `--json`, and how to print it for people."""

    def __init__(self, data: Mapping[str, Any], shown: Callable[[], None] | None = None, exit_code: int = 0) -> None:
        self.data, self.shown, self.exit_code = data, shown, exit_code


def answering(function: Command) -> Command:
    """Gives a command the common options and turns its Answer, or a Daybook error, into output and exit code."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output; logs stay on stderr.")
    @click.option("--home", type=click.Path(path_type=Path), help="The desk's folder [DAYBOOK_HOME, default ./var].")
    @click.option(
        "--deployment", type=click.Choice(DEPLOYMENTS), help="Which backends serve it [DAYBOOK_DEPLOYMENT, local]."
    )
    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, as_json: bool, home: Path | None, deployment: str | None, **words: Any) -> None:
        given = context.obj or {}
        as_json = as_json or given.get("as_json", False)
        where = None
        try:
            where = place(home or given.get("home"), deployment or given.get("deployment"))
            answer = function(where, **words)
            _print(answer, as_json)
        except DaybookError as error:
            _fail(error, as_json)
        except Exception as cause:
            _fail(_explained(cause, where), as_json)
        else:
            context.exit(answer.exit_code)

    return wrapped  # type: ignore[return-value]


def _explained(cause: Exception, where: Place | None) -> DaybookError:
    from pipelines.mishaps import explained

    return explained(cause, where)


def _fail(error: DaybookError, as_json: bool) -> None:
    if as_json:
        _document({"ok": False, "error": type(error).__name__, "message": str(error), "exit_code": error.exit_code})
    click.echo(f"daybook: {error}", err=True)
    sys.exit(error.exit_code)


def _document(data: Mapping[str, Any]) -> None:
    """One JSON document; JSON has no infinity, so it becomes text."""
    click.echo(json.dumps(_plain(data), default=str, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        _document({"ok": answer.exit_code == 0, **answer.data})
    elif answer.shown is not None:
        answer.shown()


def _codes(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    codes = tuple(code.strip() for code in text.split(","))
    if not all(codes):
        raise UsageError(
            f"--instruments {text!r} has an empty name. Write codes like CORN,US10, or leave the option out."
        )
    return codes


def _day(value: Any) -> date | None:
    return None if value is None else value.date()


def _desk(where: Place) -> Desk:
    from pipelines.desk import Desk

    return Desk.open(where)


def _refuse_no_desk(where: Place) -> None:
    from pipelines.closing import refuse_no_desk

    refuse_no_desk(where)


class Commands(click.Group):
    """Says in JSON what was wrong with the command line, where JSON was asked for."""

    def main(self, args: Any = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        """As click's, which would print wrong usage for people only."""
        words = list(sys.argv[1:] if args is None else args)
        if "--json" not in words:
            return super().main(words, prog_name, *more, **extra)
        try:
            code = super().main(words, prog_name, *more, **{**extra, "standalone_mode": False})
        except click.ClickException as wrong:
            wrong.show()
            said = {"error": "UsageError", "message": wrong.format_message(), "exit_code": wrong.exit_code}
            _document({"ok": False, **said})
            sys.exit(wrong.exit_code)
        except click.Abort:
            _fail(DaybookError("interrupted. Run the same command again."), as_json=True)
        sys.exit(code or 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output; logs stay on stderr.")
@click.option("--home", type=click.Path(path_type=Path), help="The desk's folder [DAYBOOK_HOME, default ./var].")
@click.option(
    "--deployment", type=click.Choice(DEPLOYMENTS), help="Which backends serve it [DAYBOOK_DEPLOYMENT, default local]."
)
@click.version_option(package_name="daybook")
@click.pass_context
def main(context: click.Context, **given: Any) -> None:
    """Daybook closes the trading day for a systematic futures desk.

    Start with `daybook demo`, which needs no data and no server. With data of your own: `daybook load`, then
    `daybook close`, then look: `daybook pnl`, `daybook positions`, `daybook violations`, `daybook ui`.

    Exit codes: 0 all good; 1 a step or a check failed; 2 wrong usage or bad input.
    """
    context.obj = given


# --- work -------------------------------------------------------------------------------------------------------------
@main.command()
@click.option("--sessions", default=10, show_default=True, help="How many of the last sessions to close.")
@click.option("--years", default=3, show_default=True, help="Years of simulated history to load.")
@answering
def demo(where: Place, sessions: int, years: int) -> Answer:
    """Load the simulated market, close its last sessions, print a summary, write the report."""
    from pipelines import demonstration

    return _closed(where, demonstration.run(where, sessions, years))


@main.command()
@click.option(
    "--vendor", type=click.Choice(["simulated", "pysystemtrade", "csv_folder"]), required=True, help="Whose prices."
)
@click.option("--source", type=click.Path(path_type=Path), help="The vendor's folder.")
@click.option("--instruments", help="Comma-separated codes; without it, all the vendor has.")
@click.option("--since", type=DAY, help="First session.")
@click.option("--until", type=DAY, help="Last session.")
@click.option("--calendar", type=click.Choice(["exchange", "weekdays"]), help="How stamps become sessions.")
@answering
def load(
    where: Place,
    vendor: str,
    source: Path | None,
    instruments: str | None,
    since: Any,
    until: Any,
    calendar: str | None,
) -> Answer:
    """Load history from a vendor: raw, clean and continuous datasets. Safe to repeat."""
    from pipelines import loading

    codes = _codes(instruments)
    found = loading.load(where, vendor, source, codes, (_day(since), _day(until)), calendar)
    return Answer(found, lambda: _show_close(found), found["exit_code"])


@main.command()
@click.option("--session", type=DAY, help="Session to close; without it, the latest there are prices for.")
@click.option(
    "--restate", is_flag=True, help="After a late correction: close the session and all after it again, sign anew."
)
@answering
def close(where: Place, session: Any, restate: bool) -> Answer:
    """Close one session: ingest, check, value, trade on paper, reconcile, sign, report.

    With --restate, what was signed stays as it was; new signatures are made, and what changed is printed in money.
    """
    from pipelines import closing

    if restate:
        return _restated(where, session)
    return _closed(where, closing.close(where, _day(session)))


@main.command()
@click.option("--from", "first", type=DAY, required=True, help="First session.")
@click.option("--to", "last", type=DAY, required=True, help="Last session.")
@answering
def backfill(where: Place, first: Any, last: Any) -> Answer:
    """Close all sessions of a span, in order, in one run."""
    from pipelines import closing

    return _closed(where, closing.backfill(where, first.date(), last.date()))


def _restated(where: Place, session: Any) -> Answer:
    from pipelines import signing

    if session is None:
        raise UsageError("name the session that was corrected: `daybook close --restate --session 2022-02-25`.")
    found = signing.restate(where, session.date())
    return Answer(found, lambda: _show_restated(found), found["exit_code"])


@main.command()
@click.option("--session", type=DAY, help="Session to sign; without it, the latest closed one.")
@answering
def sign(where: Place, session: Any) -> Answer:
    """Sign a closed session as it stands: one hash over its data, book, configuration and code, and a signature."""
    from pipelines import signing

    found = signing.sign(where, _day(session))
    return Answer(found, lambda: _pairs("Signed", found))


OF_A_BACKTEST = (
    click.option("--vendor", type=click.Choice(["pysystemtrade"]), help="Whose files to read in place."),
    click.option(
        "--source", type=click.Path(path_type=Path), help="Their folder; without it, what the desk has loaded."
    ),
    click.option("--instruments", help="Comma-separated codes, some of the strategy's."),
    click.option("--since", type=DAY, help="First session of the curve."),
    click.option("--until", type=DAY, help="Last session that is read."),
    click.option("--capital", type=float, help="Capital in base currency; without it, the strategy's or the desk's."),
    click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a setting of the strategy."),
    click.option("--costs", metavar="NAME", help="A registered cost model in place of the strategy's own costs."),
    click.option("--decided-by", metavar="NAME", help="A registered strategy in place of the strategy's own rules."),
    click.option("--engine", metavar="NAME", help="A registered engine."),
    click.option(
        "--part",
        "parts",
        multiple=True,
        metavar="KIND.PARAMETER=VALUE",
        help="Of costs, decided_by or engine, as above.",
    ),
    click.option(
        "--plugin", "plugins", multiple=True, metavar="MODULE", help="A module with parts or rules of your own."
    ),
)


def of_a_backtest(command: Command) -> Command:
    """The options of a backtest, which a sweep has too."""
    return functools.reduce(lambda made, option: option(made), reversed(OF_A_BACKTEST), command)


@main.command()
@click.argument("strategy", required=False)
@of_a_backtest
@click.option("--seed", type=int, default=0, show_default=True, help="Of parts that draw random numbers.")
@click.option("--curve", type=click.Path(path_type=Path), help="Write the curve to FILE.parquet or FILE.csv.")
@click.option("--positions", type=click.Path(path_type=Path), help="Write decided positions to such a file.")
@click.option("--fresh", is_flag=True, help="Compute anew: no kept result or panel is used, none is kept.")
@click.option("--deadline", type=AMOUNT, metavar="SECONDS", help="Stop after so long.")
@click.option("--memory-ceiling", type=AMOUNT, metavar="MB", help="Stop where it takes more memory.")
@click.option("--no-look-ahead", is_flag=True, help="Refuse options that see the future.")
@click.option("--check-look-ahead", is_flag=True, help="Cut the future off after random sessions and compare.")
@click.option("--cuts", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many such sessions.")
@click.option(
    "--prewarm", is_flag=True, help="Only compile kernels and make the panel; without STRATEGY, compile them all."
)
@click.option("--list", "listed", is_flag=True, help="Engines, cost models, data sources and rules there are.")
@answering
def backtest(where: Place, **words: Any) -> Answer:
    """Run STRATEGY (a name, or a .toml file) over history.

    The result is kept under the hash of data, strategy and code, and not computed twice.
    """
    from pipelines import backtest_request as request

    asked = _backtest_words(words)
    if words["listed"]:
        found = request.parts(asked.plugins)
        return Answer(found, lambda: _show_parts(found))
    if words["check_look_ahead"]:
        found = request.look_ahead(where, asked, words["cuts"])
        return Answer(found, lambda: _show_look_ahead(found), 0 if found["ok"] else 1)
    if words["prewarm"]:
        found = request.prewarm(where, asked)
        return Answer(found, lambda: _pairs("Ready", found))
    fresh = words["fresh"]
    demand = request.Demand(words["deadline"], words["memory_ceiling"], cache=not fresh)
    found = request.run(where, asked, demand, words["curve"], words["positions"], kept=not fresh)
    return Answer(found, lambda: _show_backtest(found))


@main.command()
@click.argument("strategy")
@click.option("--axis", "axes", multiple=True, metavar="PATH=VALUES", help="1,2,3 or 1..9 or log:0.01..1 or total:1.")
@click.option("--space", type=click.Path(path_type=Path), help="A TOML file with [[axes]].")
@click.option("--random", type=int, metavar="N", help="N random variants in place of every combination.")
@click.option("--optuna", type=int, metavar="N", help="N variants, chosen by what was found before (Optuna).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random numbers.")
@click.option("--rescale-weights", is_flag=True, help="Divide the weights of each variant by their sum.")
@click.option(
    "--objective", default="net_percent.sharpe", show_default=True, help="The statistic that is best highest."
)
@click.option("--workers", type=int, help="Processes of this machine; without it, one a processor.")
@click.option("--dask", metavar="ADDRESS", help="A Dask scheduler whose workers to use instead.")
@click.option(
    "--deadline",
    "deadline_s",
    type=AMOUNT,
    metavar="SECONDS",
    help="Stop after so long; what is done stays.",
)
@click.option("--memory-ceiling", "memory_mb", type=AMOUNT, metavar="MB", help="Stop where a worker takes more.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a row a variant to FILE.parquet or FILE.csv.")
@click.option("--heat-map", type=click.Path(path_type=Path), help="Draw the first two axes with values: FILE.png.")
@of_a_backtest
@answering
def sweep(where: Place, **words: Any) -> Answer:
    """Run many variants of STRATEGY (a name, or a .toml file) over history.

    A variant that was computed before is not computed again: a sweep that was stopped goes on where it was.
    """
    from pipelines import sweep_request as request

    varied = {name: words.pop(name) for name in request.SweepWords.__slots__}
    missing = {"seed": 0, "no_look_ahead": False, "listed": False}
    found = request.run(where, _backtest_words({**words, **missing}), request.SweepWords(**varied), _say)
    return Answer(found, lambda: _show_sweep(found), found["exit_code"])


def _say(text: str) -> None:
    click.echo(text, err=True)


def _backtest_words(words: Mapping[str, Any]) -> Any:
    from pipelines.backtest_request import Words

    if words["strategy"] is None and not (words["listed"] or words["prewarm"]):
        raise UsageError("name a strategy: `daybook backtest trend`, or a .toml file. `--list` shows what there is.")
    return Words(
        strategy=words["strategy"] or "",
        vendor=words["vendor"],
        source=words["source"],
        instruments=_codes(words["instruments"]),
        first=_day(words["since"]),
        last=_day(words["until"]),
        capital_base=words["capital"],
        overrides=words["overrides"],
        costs=words["costs"],
        decided_by=words["decided_by"],
        parts=words["parts"],
        engine=words["engine"],
        seed=words["seed"],
        plugins=words["plugins"],
        look_ahead_refused=words["no_look_ahead"],
    )


@main.command()
@answering
def quality(where: Place) -> Answer:
    """Run the second layer of checks (Great Expectations) and build its Data Docs."""
    from pipelines import closing

    found = closing.quality(where)
    return Answer(found, lambda: _pairs("Quality", found), found["exit_code"])


@main.command()
@answering
def backup(where: Place) -> Answer:
    """Take a snapshot of the desk into its backup folder [DAYBOOK_BACKUPS, default <home>-backups]."""
    from pipelines import closing

    found = closing.backup(where)
    return Answer(found, lambda: _pairs("Backup", found), found["exit_code"])


@main.command()
@click.argument("snapshot")
@click.option("--into", type=click.Path(path_type=Path), required=True, help="An empty or new folder.")
@answering
def restore(where: Place, snapshot: str, into: Path) -> Answer:
    """Rebuild a desk from SNAPSHOT (a name, or `latest`) into a folder, every hash checked."""
    from pipelines import closing

    found = closing.restore(where, snapshot, into)
    return Answer(found, lambda: _pairs("Restored", found))


@main.command()
@click.option("--port", default=3000, show_default=True, help="Where the UI listens on this machine.")
@answering
def ui(where: Place, port: int) -> Answer:
    """Open the Dagster UI on this desk's data."""
    from pipelines import web

    return Answer({}, exit_code=web.serve(where, port))


@main.command()
@answering
def doctor(where: Place) -> Answer:
    """Ask every backend of the deployment whether it is well, and say what to do where one is not."""
    from pipelines import doctor as practice

    found = practice.examined(where)
    return Answer(found, lambda: _out(_table("Backends", found["backends"])), found["exit_code"])


@main.group()
def services() -> None:
    """Run MongoDB and Redis of this home on this machine, for people without servers."""


@services.command(name="start")
@answering
def start_services(where: Place) -> Answer:
    """Start them, data under <home>/services, and say what to export."""
    from pipelines import services as servers

    return _servers(servers.described(servers.start(where)))


@services.command(name="stop")
@answering
def stop_services(where: Place) -> Answer:
    """Stop them; their data stay."""
    from pipelines import services as servers

    return _servers(servers.described(servers.stop(where)))


@services.command(name="status")
@answering
def services_status(where: Place) -> Answer:
    """Whether they run, and where. Exit code 1 unless all do."""
    from pipelines import services as servers

    found = servers.described(servers.status(where))
    return _servers(found, 0 if found["export"] else 1)


def _servers(found: Mapping[str, Any], exit_code: int = 0) -> Answer:
    def show() -> None:
        _out(_table("Servers", found["servers"]) if found["servers"] else "no servers were started in this home")
        for name, address in found["export"].items():
            click.echo(f"export {name}='{address}'")

    return Answer(found, show, exit_code)


@main.group(name="import")
def imports() -> None:
    """Take over files of other systems."""


@imports.command(name="pysystemtrade-config")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The strategy file to write.")
@answering
def pysystemtrade_config(where: Place, file: Path, out: Path) -> Answer:
    """Turn a pysystemtrade system configuration FILE (YAML) into a strategy file, and say what it could not."""
    from pipelines import importing

    found = importing.pysystemtrade_config(file, out)
    return Answer(found, lambda: _show_import(found))


# --- looking ----------------------------------------------------------------------------------------------------------
@main.command(name="open")
@click.argument("session", type=DAY)
@click.option("--version", type=click.IntRange(1), help="Which signature of the session; without it, the newest.")
@click.option("--prices", metavar="INSTRUMENT", help="The adjusted prices of an instrument as they were signed.")
@answering
def open_day(where: Place, session: Any, version: int | None, prices: str | None) -> Answer:
    """Open SESSION as it was signed, after verifying it: positions, P&L, the one hash, and what it pins."""
    from pipelines import signing

    found = signing.open_day(where, session.date(), version, prices)
    return Answer(found, lambda: _show_signed(found))


@main.command()
@answering
def status(where: Place) -> Answer:
    """What this desk is, what it holds, and how its last runs ended."""
    found = _desk(where).status()
    return Answer(found, lambda: _show_status(found))


@main.command()
@click.option("--check", metavar="DATASET/RULE", help="The check whose findings may pass.")
@click.option("--instrument", metavar="CODE", help="The instrument that may be traded although it has an open break.")
@click.option("--step", metavar="STATE", help="The state of the close whose every check may pass.")
@click.option("--session", type=DAY, help="For which session; an instrument's holds for all without it.")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who; without it, who is logged in.")
@click.option("--clear", metavar="ID", help="Take an override back, by its id.")
@answering
def override(
    where: Place, session: Any, reason: str | None, by: str | None, clear: str | None, **what: str | None
) -> Answer:
    """Let a failed check, a locked instrument or a step of the close pass, under your name and with a reason."""
    from pipelines import auditing

    _refuse_no_desk(where)
    given = {scope: item for scope, item in {**what, "clear": clear}.items() if item is not None}
    if len(given) != 1:
        raise UsageError("say what is overridden: one of --check, --instrument, --step, or --clear to take one back.")
    ((scope, item),) = given.items()
    if clear is not None:
        found = auditing.clear(where, clear, reason, by)
    else:
        found = auditing.override(where, scope, str(item), _day(session), reason, by)
    return Answer(found, lambda: _pairs("Override", found))


@main.command()
@answering
def overrides(where: Place) -> Answer:
    """Who let what pass and why: those in force, then those taken back."""
    from pipelines import auditing

    _refuse_no_desk(where)
    found = auditing.overrides(where)
    return Answer(found, lambda: _show_tables(found) if found["overrides"] else _out("overrides: none"))


@main.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@answering
def runs(where: Place, limit: int) -> Answer:
    """Which job ran when, by whom and where, how far it came, and how it ended; the newest first."""
    from pipelines import processes

    _refuse_no_desk(where)
    found = {"runs": processes.listed(where, limit)}
    shown = {"runs": processes.shown(found["runs"])}
    return Answer(found, lambda: _show_tables(shown) if found["runs"] else _out("runs: none"))


@main.command()
@click.argument("verify", type=click.Choice(["verify"]), required=False)
@click.option("--search", "words", metavar="WORDS", help="Entries that hold all these words; fills are not searched.")
@click.option("--kind", help="Of this kind, like fill or close_moved.")
@click.option("--session", type=DAY, help="Of this session.")
@click.option("--actor", help="By this person or job.")
@click.option("--stream", help="Of this stream, like close or book/trend.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
@answering
def audit(where: Place, verify: str | None, limit: int, session: Any, **wanted: str | None) -> Answer:
    """What happened to the book, the newest first; `audit verify` proves that nothing of it was changed.

    Verifying reads every entry: its number, its link in the chain, the tables that follow from all of them, and every
    signature. Exit code 1 where something is wrong.
    """
    from pipelines import auditing

    _refuse_no_desk(where)
    if verify:
        proof = auditing.verified(where)
        return Answer(proof, lambda: _show_proof(proof), 1 if proof["problems"] else 0)
    found = auditing.trail(where, auditing.Wanted(session=_day(session), **wanted), limit)
    shown = {"entries": auditing.shown(found["entries"])}
    return Answer(found, lambda: _show_tables(shown) if found["entries"] else _out("entries: none"))


@main.command()
@click.argument("instrument")
@click.option(
    "--kind",
    type=click.Choice(["adjusted", "multiple", "daily", "intraday"]),
    default="adjusted",
    show_default=True,
    help="Which prices.",
)
@click.option("--since", type=DAY, help="First session.")
@click.option("--until", type=DAY, help="Last session.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all rows to FILE.parquet or FILE.csv.")
@answering
def prices(where: Place, instrument: str, kind: str, since: Any, until: Any, out: Path | None) -> Answer:
    """Prices of INSTRUMENT: adjusted (stitched, at the vendor's times), multiple, daily or intraday."""
    frame = _desk(where).prices(instrument, kind, since=_day(since), until=_day(until))
    if out is not None:
        _write(frame, out)
    return _rows(f"{instrument} {kind} prices", frame, {"instrument": instrument, "kind": kind, "out": out}, out)


def _reading(name: str, text: str) -> None:
    """Adds a command that prints what a session's dataset holds."""

    @click.option("--session", type=DAY, help="Which session; without it, the latest closed one.")
    @answering
    def command(where: Place, session: Any) -> Answer:
        desk = _desk(where)
        if name == "violations":  # a load finds some too, before anything is closed
            day = _day(session) or next(reversed(desk.closed_sessions()), None)
        else:
            day = desk.closed_session(_day(session))
        return _rows(f"{name} on {day or 'any session'}", getattr(desk, name)(day), {"session": day})

    main.command(name, help=text)(command)


_reading("volatility", "Volatility of each instrument: daily points by method, and percent a year.")
_reading("correlation", "Correlation of weekly returns, as a matrix.")
_reading("positions", "What the book holds after the session.")
_reading("violations", "What the data rules found.")


class Listing(click.Group):
    """A group whose command `list` is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, with `list` put in front where no command is."""
        named = [word for word in args if not word.startswith("-")][:1]
        asks = args[:1] in (["--help"], ["-h"])
        return super().parse_args(ctx, args if asks or (named and named[0] in self.commands) else ["list", *args])


@main.group(cls=Listing)
def breaks() -> None:
    """Differences between our book and the broker's statement: list (what no command means), assign, close."""


@breaks.command(name="list")
@click.option("--session", type=DAY, help="Those open after which session; without it, the latest closed one.")
@click.option("--open", "open_now", is_flag=True, help="Those open now, with their ids, and the instruments they lock.")
@answering
def list_breaks(where: Place, session: Any, open_now: bool) -> Answer:
    """Breaks that were open after a session, or are open now."""
    if not open_now:
        desk = _desk(where)
        day = desk.closed_session(_day(session))
        return _rows(f"breaks on {day}", desk.breaks(day), {"session": day})
    if session is not None:
        raise UsageError("--open is about now and --session about a session of the past. Leave one out.")
    from pipelines import breaks as broken

    _refuse_no_desk(where)
    found = broken.opened(where)
    return Answer(found, lambda: _show_open(found))


@breaks.command(name="assign")
@click.argument("break_id")
@click.argument("owner")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who says so; without it, who is logged in.")
@answering
def assign_break(where: Place, break_id: str, owner: str, reason: str | None, by: str | None) -> Answer:
    """Have OWNER look after BREAK_ID (an id, or a part of one that no other open break has)."""
    from pipelines import breaks as broken

    _refuse_no_desk(where)
    found = broken.assign(where, break_id, owner, reason, by)
    return Answer(found, lambda: _pairs("Break", found))


@breaks.command(name="close")
@click.argument("break_id")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who says so; without it, who is logged in.")
@answering
def close_break(where: Place, break_id: str, reason: str | None, by: str | None) -> Answer:
    """Close BREAK_ID (an id, or a part of one that no other open break has) under your name and with a reason.

    What it locks is free from then on. A difference of contracts that the next statement still shows is a new break.
    """
    from pipelines import breaks as broken

    _refuse_no_desk(where)
    found = broken.close(where, break_id, reason, by)
    return Answer(found, lambda: _pairs("Break", found))


def _show_open(found: Mapping[str, Any]) -> None:
    _out(_table("open breaks", found["rows"]) if found["rows"] else "open breaks: none")
    if found["locked"]:
        _out(f"locked against new orders: {', '.join(found['locked'])}")


@main.group()
def book() -> None:
    """Enter into the journal what no broker delivers, under your name and with a reason."""


def of_the_book(command: Command) -> Command:
    """The options of everything a person enters."""
    for option in (
        click.option("--by", help="Who says so; without it, who is logged in."),
        click.option("--session", type=DAY, help="The session it counts in; without it, the first one not closed."),
        click.option("--reason", required=True, help="Why: it stands in the journal."),
    ):
        command = option(command)
    return command


@book.command()
@click.option("--strategy", required=True, help="Whose position.")
@click.option("--instrument", required=True, help="Of what.")
@click.option("--contract", type=int, required=True, help="Contract id, like 20220600.")
@click.option("--quantity", type=int, required=True, help="Contracts more (or less, negative).")
@click.option("--price", type=float, required=True, help="At which price, points.")
@of_the_book
@answering
def adjust(
    where: Place, strategy: str, instrument: str, contract: int, quantity: int, price: float, **given: Any
) -> Answer:
    """Change a position by some contracts at a price."""
    from pipelines import book as entries

    return _entered(
        where, lambda **more: entries.adjust(where, (strategy, instrument, contract), quantity, price, **more), given
    )


@book.command()
@click.option("--currency", required=True, help="Of which currency.")
@click.option("--amount", type=float, required=True, help="How much; paid out is negative.")
@click.option("--category", required=True, help="interest, fee, deposit, withdrawal or adjustment.")
@of_the_book
@answering
def cash(where: Place, currency: str, amount: float, category: str, **given: Any) -> Answer:
    """Book money that is no trade."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.cash(where, currency, amount, category, **more), given)


@book.command()
@click.argument("fill_id")
@of_the_book
@answering
def bust(where: Place, fill_id: str, **given: Any) -> Answer:
    """Take a fill back."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.bust(where, fill_id, **more), given)


@book.command()
@click.argument("fill_id")
@click.option("--quantity", type=int, help="The right quantity.")
@click.option("--price", type=float, help="The right price, points.")
@click.option("--commission", type=float, help="The right commission, local money.")
@of_the_book
@answering
def correct(
    where: Place, fill_id: str, quantity: int | None, price: float | None, commission: float | None, **given: Any
) -> Answer:
    """Tell a fill anew, with what is given changed."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.correct(where, fill_id, quantity, price, commission, **more), given)


def _entered(where: Place, enter: Callable[..., dict[str, Any]], given: Mapping[str, Any]) -> Answer:
    from pipelines.deployments import sole_run
    from pipelines.runs import aside

    _refuse_no_desk(where)
    with sole_run(where, aside):
        found = enter(**{**given, "session": _day(given["session"])})
    return Answer(found, lambda: _pairs("Entered", found))


@main.group()
def ledger() -> None:
    """The ledger's own upkeep."""


@ledger.command()
@answering
def migrate(where: Place) -> Answer:
    """Bring a ledger that an older version wrote to this version's schema; take a backup first."""
    from pipelines import book as entries

    _refuse_no_desk(where)
    said = entries.migrate(where)
    return Answer({"ledger": said}, lambda: _out(said))


OVER = (
    click.option("--session", type=DAY, help="Which session; without it, the latest closed one."),
    click.option("--month-to-date", is_flag=True, help="All sessions of its month up to it."),
    click.option("--from", "first", type=DAY, help="All closed sessions from this one on."),
    click.option("--to", "last", type=DAY, help="All closed sessions up to this one."),
)


def over_sessions(command: Command) -> Command:
    """The options that say which sessions are summed."""
    return functools.reduce(lambda made, option: option(made), reversed(OVER), command)


@main.command()
@click.option(
    "--by",
    type=click.Choice(["cause", "strategy", "instrument", "asset_class", "session"]),
    help="Sums; more than one session is by cause, without it.",
)
@over_sessions
@answering
def pnl(where: Place, by: str | None, session: Any, month_to_date: bool, first: Any, last: Any) -> Answer:
    """Profit and loss: of the session by strategy, instrument and contract, or of any sessions by cause or group."""
    from pipelines import profit

    desk = _desk(where)
    if by is None and not (month_to_date or first or last):
        day = desk.closed_session(_day(session))
        return _rows(f"pnl on {day}", desk.pnl(day), {"session": day})
    over = profit.span(desk, _day(session), _day(first), _day(last), month_to_date=month_to_date)
    return _over("pnl", by or "cause", over, profit.pnl_by(desk, by or "cause", over))


@main.command()
@click.option(
    "--by",
    type=click.Choice(["instrument", "strategy", "reason", "fill"]),
    default="instrument",
    show_default=True,
    help="Sums, or each fill.",
)
@over_sessions
@answering
def slippage(where: Place, by: str, session: Any, month_to_date: bool, first: Any, last: Any) -> Answer:
    """What fills cost against the price their orders were decided at: points, ticks, money, fraction of value."""
    from pipelines import profit

    desk = _desk(where)
    over = profit.span(desk, _day(session), _day(first), _day(last), month_to_date=month_to_date)
    return _over("slippage", by, over, profit.slippage_by(desk, by, over))


def _over(what: str, by: str, over: tuple[date, date], frame: Any) -> Answer:
    """Sums over sessions."""
    when = f"on {over[1]}" if over[0] == over[1] else f"from {over[0]} to {over[1]}"
    return _rows(f"{what} by {by.replace('_', ' ')} {when}", frame, {"from": over[0], "to": over[1], "by": by})


@main.command()
@click.argument("query")
@click.option("--as-of", help="Read every dataset as it was at this instant (ISO 8601).")
@answering
def sql(where: Place, query: str, as_of: str | None) -> Answer:
    """Run a read-only SQL QUERY over every dataset (DuckDB); tables are the dataset names."""
    frame = _desk(where).sql(query, as_of)
    return _rows("rows", frame, {})


# --- printing ---------------------------------------------------------------------------------------------------------
def _closed(where: Place, found: dict[str, Any]) -> Answer:
    return Answer(found, lambda: _show_close(found), found["exit_code"])


def _show_signed(found: Mapping[str, Any]) -> None:
    rows = {name: value for name, value in found.items() if isinstance(value, list)}
    shown = {name: value[-40:] for name, value in rows.items()}
    _show_tables(shown)
    hidden = sum(len(value) for value in rows.values()) - sum(len(value) for value in shown.values())
    if hidden:
        _out(f"{hidden} earlier rows not shown; --json gives all")
    _pairs("Signed", {name: value for name, value in found.items() if not isinstance(value, list)})


def _show_restated(found: Mapping[str, Any]) -> None:
    shown = ("session", "version", "hash")
    signatures = [{name: row[name] for name in shown} for row in found.get("signatures", ())]
    _show_close({**found, "signatures": signatures})
    for row in found.get("signatures", ()):
        _out(f"{row['session']}, against signature {row['version_before']}, changed: {row['changed']}")


def _show_close(found: Mapping[str, Any]) -> None:
    _show_tables(found)
    _pairs("Summary", {key: value for key, value in found.items() if not isinstance(value, list)})


def _show_backtest(found: Mapping[str, Any]) -> None:
    named = {"gross_percent": "gross %", "net_percent": "net %", "net_currency": f"net {found['base_currency']}"}
    shown = ("ann_mean", "ann_std", "sharpe", "sortino", "worst_drawdown", "time_in_drawdown", "skew", "hitrate")
    rows = [
        {"statistic": name, **{title: f"{found['statistics'][curve][name]:,.6g}" for curve, title in named.items()}}
        for name in shown
    ]
    _out(_table(f"Backtest of {found['strategy']}, {found['first']} to {found['last']}", rows))
    more = {key: ", ".join(found[key]) for key in ("instruments", "sees_the_future")}
    _pairs("Result", {key: value for key, value in (found | more).items() if key not in ("statistics", "strategy")})


def _show_sweep(found: Mapping[str, Any]) -> None:
    best = found.get("best") or {}
    if best:
        shown = ("net_percent.sharpe", "net_percent.ann_mean", "net_percent.ann_std", "net_percent.worst_drawdown")
        figures = {name: best["statistics"][name] for name in shown if name in best["statistics"]}
        rows = [{"the best variant": name, "is": str(value)} for name, value in best["overrides"].items()]
        _out(
            _table(
                "Sweep", rows + [{"the best variant": name, "is": f"{value:,.6g}"} for name, value in figures.items()]
            )
        )
    _pairs("Variants", {key: value for key, value in found.items() if key not in ("best", "strategy", "key")})


def _show_look_ahead(found: Mapping[str, Any]) -> None:
    for sentence in found["findings"]:
        _out(sentence)
    known = f"{len(found['findings'])} findings" if found["findings"] else "nothing that was known changed"
    _out(f"{found['strategy']}: {known} when the future was cut off after each of {found['cuts']} sessions")


def _show_parts(found: Mapping[str, Any]) -> None:
    parts = [{key: part[key] for key in ("kind", "name", "version", "description")} for part in found["parts"]]
    _out(_table("Parts", parts))
    _out(_table("Rules", [{"name": rule["name"], "description": rule["description"]} for rule in found["rules"]]))


def _show_status(found: Mapping[str, Any]) -> None:
    _pairs("Desk", {key: value for key, value in found.items() if not isinstance(value, list)})
    _show_tables(found)


def _show_proof(found: Mapping[str, Any]) -> None:
    for problem in found["problems"]:
        _out(problem)
    said = f"{len(found['problems'])} problems" if found["problems"] else "nothing is wrong"
    _out(f"{said}: {found['entries']:,} entries of {found['streams']} streams read")


def _show_import(found: Mapping[str, Any]) -> None:
    _pairs("Strategy", {key: ", ".join(v) if isinstance(v, list) else v for key, v in found.items() if key != "notes"})
    for note in found["notes"] or ["Everything was taken over."]:
        click.echo(f"- {note}")


def _show_tables(found: Mapping[str, Any]) -> None:
    for name, rows in found.items():
        if isinstance(rows, list) and rows:
            _out(_table(name.replace("_", " "), rows))


def _table(title: str, rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        numeric = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(str(column), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(value, str(column)) for column, value in row.items()))
    return table


def _pairs(title: str, found: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for key, value in found.items():
        if value not in (None, {}, [], ""):
            table.add_row(key.replace("_", " "), _cell(value, key))
    _out(table)


def _out(shown: Any) -> None:
    """Prints to standard output; where that is no terminal, as wide as the content, so that nothing is cut."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=max(200, console.width))
    console.print(shown)


def _cell(value: Any, column: str = "") -> str:
    """Money to the cent, other numbers to ten digits, missing as nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if column.endswith(("_base", "_total")) else f"{value:,.10g}"
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    return str(value)


def _rows(title: str, frame: Any, facts: Mapping[str, Any], out: Path | None = None) -> Answer:
    """A frame: for people the last 40 rows, for JSON all of them (the count only, when written to a file)."""
    from pipelines.desk import records

    def show() -> None:
        if out is not None:
            _out(f"{len(frame):,} rows of {title} written to {out}")
            return
        rows = records(frame.tail(40))
        hidden = len(frame) - len(rows)
        _out(_table(title, rows) if rows else f"{title}: none")
        if hidden:
            _out(f"{hidden} earlier rows not shown; --json gives all")

    data = {**facts, "count": len(frame)}
    return Answer(data if out else {**data, "rows": records(frame)}, show)


def _write(frame: Any, out: Path) -> None:
    """Writes whole or not at all."""
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{out}: unknown format {out.suffix!r}. Name a file that ends in .parquet or .csv.")
    draft = out.with_name(f".{out.name}.new")
    try:
        if out.suffix == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False, date_format="%Y-%m-%d %H:%M:%S")
        draft.replace(out)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        reason = cause.strerror or cause
        raise UsageError(f"{out} cannot be written: {reason}. Name a file in a folder you may write to.") from cause


if __name__ == "__main__":
    main()

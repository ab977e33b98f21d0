"""`daybook backtest`, `sweep`, `import`: strategies over history.

Belongs here: what people type for it, and how what was found is printed. Does not belong here: what the words ask for
(`backtest_request.py`, `sweep_request.py`), or computing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, Command, answering
from pipelines.options import AMOUNT, DAY, codes, date_of
from pipelines.settings import Place
from pipelines.tables import show, show_pairs, table
from trading.errors import UsageError

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


@click.command()
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
        return Answer(found, lambda: show_pairs("Ready", found))
    fresh = words["fresh"]
    demand = request.Demand(words["deadline"], words["memory_ceiling"], cache=not fresh)
    found = request.run(where, asked, demand, words["curve"], words["positions"], kept=not fresh)
    return Answer(found, lambda: _show_backtest(found))


@click.command()
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
        instruments=codes(words["instruments"]),
        first=date_of(words["since"]),
        last=date_of(words["until"]),
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


@click.group(name="import")
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


def _show_backtest(found: Mapping[str, Any]) -> None:
    named = {"gross_percent": "gross %", "net_percent": "net %", "net_currency": f"net {found['base_currency']}"}
    shown = ("ann_mean", "ann_std", "sharpe", "sortino", "worst_drawdown", "time_in_drawdown", "skew", "hitrate")
    rows = [
        {"statistic": name, **{title: f"{found['statistics'][curve][name]:,.6g}" for curve, title in named.items()}}
        for name in shown
    ]
    show(table(f"Backtest of {found['strategy']}, {found['first']} to {found['last']}", rows))
    more = {key: ", ".join(found[key]) for key in ("instruments", "sees_the_future")}
    more |= _refused(found["statistics"].get("refusals", {}))
    show_pairs("Result", {key: value for key, value in (found | more).items() if key not in ("statistics", "strategy")})


def _refused(sums: Mapping[str, float]) -> dict[str, str]:
    """What limits refused, of an engine that has any: nothing of others."""
    if not sums:
        return {}
    by = [f"{name.removeprefix('by_')} {count:,.0f}" for name, count in sums.items() if name.startswith("by_")]
    said = f"{sums['orders']:,.0f} orders on {sums['sessions']:,.0f} sessions"
    return {"refused": f"{said} ({', '.join(by)})" if by else said}


def _show_sweep(found: Mapping[str, Any]) -> None:
    best = found.get("best") or {}
    if best:
        shown = ("net_percent.sharpe", "net_percent.ann_mean", "net_percent.ann_std", "net_percent.worst_drawdown")
        figures = {name: best["statistics"][name] for name in shown if name in best["statistics"]}
        rows = [{"the best variant": name, "is": str(value)} for name, value in best["overrides"].items()]
        show(
            table(
                "Sweep", rows + [{"the best variant": name, "is": f"{value:,.6g}"} for name, value in figures.items()]
            )
        )
    show_pairs("Variants", {key: value for key, value in found.items() if key not in ("best", "strategy", "key")})


def _show_look_ahead(found: Mapping[str, Any]) -> None:
    for sentence in found["findings"]:
        show(sentence)
    known = f"{len(found['findings'])} findings" if found["findings"] else "nothing that was known changed"
    show(f"{found['strategy']}: {known} when the future was cut off after each of {found['cuts']} sessions")


def _show_parts(found: Mapping[str, Any]) -> None:
    parts = [{key: part[key] for key in ("kind", "name", "version", "description")} for part in found["parts"]]
    show(table("Parts", parts))
    show(table("Rules", [{"name": rule["name"], "description": rule["description"]} for rule in found["rules"]]))


def _show_import(found: Mapping[str, Any]) -> None:
    facts = {key: ", ".join(v) if isinstance(v, list) else v for key, v in found.items() if key != "notes"}
    show_pairs("Strategy", facts)
    for note in found["notes"] or ["Everything was taken over."]:
        click.echo(f"- {note}")

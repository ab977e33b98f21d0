"""Who may import whom. import-linter holds the layers; this holds what it cannot say."""

from __future__ import annotations

import ast
from collections.abc import Callable

# Nouns that several adapters share. Everything else in `resources` stands alone.
SHARED = {
    "resources.arrow_arrays": "columns as arrays without pandas, for every reader of panels",
    "resources.arrow_messages": "bounded reading of Arrow's streams, for every form of a configuration",
    "resources.brokers.flex_rows": "the XML of Flex statements: half of one reader, in a file of its own",
    "resources.brokers.ib_account": "an account there, read: half of one adapter, in a file of its own",
    "resources.brokers.ib_days": "days of a gateway: part of one adapter, in a file of its own",
    "resources.brokers.ib_futures": "what instruments are at Interactive Brokers: part of one adapter, likewise",
    "resources.brokers.ib_gateway": "a conversation with a gateway: part of one adapter, likewise",
    "resources.brokers.ib_messages": "what a gateway says: part of one adapter, likewise",
    "resources.brokers.listing": "what a statement file says, whatever its format",
    "resources.brokers.order_files": "orders as files: half of one adapter, in a file of its own",
    "resources.brokers.statement_folder": "a folder of statement files, whatever their format",
    "resources.brokers.ib_orders": "orders sent to a gateway: part of one adapter, likewise",
    "resources.clusters.crew": "what runs in the worker processes: half of one adapter, in a file of its own",
    "resources.clusters.dask_worker": "what runs in Dask's workers: half of one adapter, in a file of its own",
    "resources.clusters.limits": "when work is stopped, the same on every cluster",
    "resources.config_signals": "what says that files may have changed: half of the watcher, in a file of its own",
    "resources.csv_tables": "strict CSV, which every reader of files needs",
    "resources.delta_files": "the Parquet files of a Delta table: half of one adapter, in a file of its own",
    "resources.disk_errors": "one translation of the operating system's refusals",
    "resources.durable": "one way to wait for the disk",
    "resources.file_lock": "one lock a home, whoever writes",
    "resources.framed_files": "what is whole of a file that is only appended to, for every log of the risk engine",
    "resources.frame_rows": "what rows of a dataset are, the same in every frame store",
    "resources.journal_batch": "what a batch of events is, the same in every ledger",
    "resources.journal_file": "a journal as a file, for snapshots of any ledger",
    "resources.mailbox": "who is told, one by one: part of the watcher, likewise",
    "resources.mongo_errors": "what MongoDB's errors mean: part of one adapter, in a file of its own",
    "resources.mongo_schema": "what MongoDB stores: part of one adapter, in a file of its own",
    "resources.postgres_connections": "connections to PostgreSQL: part of one adapter, in a file of its own",
    "resources.postgres_schema": "what PostgreSQL stores: part of one adapter, in a file of its own",
    "resources.reservation_entries": "entries as bytes, the same wherever workers share them",
    "resources.session_files": "sessions kept once worked out",
    "resources.single_flight": "one load at a time, the same in every cache",
    "resources.source_hash": "the version of the code that makes panels, for every reader of them",
    "resources.toml_lines": "lines of TOML: part of the one reader of documents, in a file of its own",
    "resources.yaml_documents": "YAML: part of the one reader of documents, likewise",
    "resources.vendors.deliveries": "the columns of a delivery, the same for every vendor",
}
# Adapters are made here: from settings (`vended`, as Dagster resources) and for a deployment.
MAKERS = {"resources.vended"}
# With Dagster, without what that takes to load, as sources of backtests, by the settings of brokers, and by what the
# environment says of keys.
NAMES_ADAPTERS = {
    "pipelines.deployments", "pipelines.wiring", "pipelines.panel_sources", "pipelines.brokers", "pipelines.live_keys",
}  # fmt: skip
# Settings choose adapters; what settings themselves are read and watched by cannot be chosen by them.
READS_SETTINGS = {
    "pipelines.authored", "pipelines.place", "pipelines.in_force", "pipelines.symbols",
    "pipelines.configuration_forms", "pipelines.configuration_validation", "pipelines.configuration_watch",
}  # fmt: skip
RESTRICTED = ("dg.asset", "dg.op", "dg.job", "dg.multi_asset", "dg.asset_check", "dg.multi_asset_check", "dg.sensor",
              "dg.schedule", "dg.run_failure_sensor", "dg.graph")  # fmt: skip


def known(modules) -> set[str]:
    """Dotted names of all modules."""
    return {module.name for module in modules}


def imported_modules(module, names: set[str]) -> set[str]:
    """Modules of the project that a module imports."""
    return {name for name, _ in module.imports() if name in names} - {module.name}


def test_adapters_do_not_import_each_other(modules) -> None:
    names = known(modules)
    found = {
        module.name: sorted(
            name
            for name in imported_modules(module, names)
            if name.startswith("resources.") and name not in SHARED and name != "resources.vendors"
        )
        for module in modules
        if module.package == "resources" and module.name not in MAKERS
    }
    assert not {name: others for name, others in found.items() if others}


def test_every_shared_noun_has_two_users_or_a_reason(modules) -> None:
    names = known(modules)
    users = {name: [m.name for m in modules if name in imported_modules(m, names)] for name in SHARED}
    unused = sorted(name for name, found in users.items() if not found)
    assert not unused, f"nothing in resources uses {unused} any more"


def test_only_the_composition_root_names_adapters(modules) -> None:
    found = {
        module.path: sorted({name for name, _ in module.imports() if name.split(".")[0] == "resources"})
        for module in modules
        if module.package != "resources" and module.name not in NAMES_ADAPTERS | READS_SETTINGS
    }
    assert not {path: names for path, names in found.items() if names}


def test_assets_and_checks_never_name_an_adapter(modules) -> None:
    found = [
        f"{module.path}:{line}"
        for module in modules
        if module.package in ("assets", "checks", "trading")
        for name, line in module.imports()
        if name.split(".")[0] == "resources"
    ]
    assert not found, f"annotate a parameter with the port instead: {found}"


def test_annotations_are_real_where_dagster_reads_them(modules) -> None:
    found = [module.path for module in modules if is_read_by_dagster(module) and has_postponed_annotations(module)]
    assert not found, f"Dagster reads annotations of these: drop `from __future__ import annotations` in {found}"


def is_read_by_dagster(module) -> bool:
    """Whether a module defines something whose annotations Dagster reads."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            if any(ast.unparse(decorator).split("(")[0] in RESTRICTED for decorator in node.decorator_list):
                return True
        elif isinstance(node, ast.ClassDef) and any("dg.Config" in ast.unparse(base) for base in node.bases):
            return True
    return False


def has_postponed_annotations(module) -> bool:
    """Whether a module starts with `from __future__ import annotations`."""
    return any(name == "__future__.annotations" for name, _ in module.imports())


def test_the_rule_on_annotations_finds_what_it_looks_for(module_from: Callable[[str, str], object]) -> None:
    text = "from __future__ import annotations\nimport dagster as dg\n@dg.asset(name='x')\ndef x(context): ...\n"
    module = module_from("assets/example.py", text)
    assert is_read_by_dagster(module)
    assert has_postponed_annotations(module)

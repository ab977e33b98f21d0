"""What trying the engine once compiles. Does not belong here: what it judges."""

from datetime import date

from trading.book.marks import Mark
from trading.config.models import DeskSettings
from trading.kernels import risk_checks
from trading.market.instruments import Instrument
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.marked import marked
from trading.risk.rehearsal import rehearse

CALLED = ("judge", "judge_one", "judge_each", "fill", "release", "expire", "recompute", "close")


def compiled() -> dict[str, int]:
    return {name: len(getattr(risk_checks, name).signatures) for name in CALLED}


def test_a_rehearsal_compiles_all_that_an_engine_calls() -> None:
    rehearse()
    before = compiled()
    assert min(before.values()) == 1, before
    monday, gold = date(2024, 1, 8), Instrument("GOLD", "", "CME", "USD", 100.0, 0.1, "metal", "gold", "US")
    key = ("GOLD", 20240400)
    market = marked(monday, [key], {key: Mark(2_000.0, monday)}, {}, {"GOLD": gold}, {"USD": 1.0})
    book = Book(1e6, 1e6, {("trend", *key): 2}, standing={WHOLE: Standing()}, strategies=("trend",))
    engine = RiskEngine(DeskSettings(), market, book)
    asked = Asked("trend", *key, 1, 2_001.5, "a")
    engine.check(asked)
    engine.check_each([asked])
    engine.check_list([asked], "prefix")
    engine.reserve(asked, 3.5, 4.5)
    engine.fill(asked)
    engine.release("a")
    engine.expire(5.0)
    engine.recompute()
    engine.load(market, book)
    assert compiled() == before, "nothing is compiled again for other types"

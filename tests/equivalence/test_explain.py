"""`freshet explain`: how each model follows what it reads, what a change costs, and what stands in
the way, by file, line and column; and `--strict`, by which a build refuses a model that got worse.

Each model with an obstacle is put into a copy of the bank's project, as someone would edit it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")
pytest.importorskip("duckdb", reason="duckdb is missing: run tests/install")

from recovery.program import Program  # noqa: E402

from equivalence.project import copy_project  # noqa: E402
from equivalence.runs import MODELS, TINY, TINY_LIFE  # noqa: E402

DONE, REFUSED, INVALID, UNAVAILABLE = 0, 1, 2, 3
BANK_MODELS = 16
# `<<` marks the place that must be named; it is taken out before the model is written.
OBSTACLES = {
    "a window without partition by": """-- Ranks all; over (is a word here) alone.
{{ config(materialized='table', unique_key='customer_id') }}

select
    customer_id,
    rank() over (partition by segment order by customer_id) as within,
    rank() <<over (order by total_balance desc) as place
from {{ ref('customer_segments') }}
""",
    "grouping sets": """select currency, account_type, sum(balance) as money
from {{ ref('stg_accounts') }}
group by <<rollup (currency, account_type)
""",
    "a limit over all rows": """{% set columns = ['customer_id', 'total_balance'] %}
select
    'no limit' as words,
    {% for column in columns %}
    {{ column }}{{ ',' if not loop.last }}
    {% endfor %}
from {{ ref('customer_summary') }}
order by total_balance desc, customer_id <<limit 10
""",
    "rows that depend on the epoch's time": """select account_id,
    count(*) filter (
        where transaction_time > cast(<<current_timestamp as timestamp(6)) - interval '7 days'
    ) as recent
from {{ ref('stg_transactions') }}
group by account_id
""",
    "a join without an equality": """select one.account_id, other.account_id as richer
from {{ ref('stg_accounts') }} as one
<<join {{ ref('stg_accounts') }} as other on other.currency <> one.currency
""",
    "a recursive query": """with <<recursive chain as (
    select account_id, 0 as depth from {{ ref('stg_accounts') }}
    union all
    select account_id, depth + 1 from chain where depth < 2
)

select account_id, depth from chain
""",
    "a key that is computed from several rows or inputs": """with counts as (
    select customer_id, count(*) as holdings from {{ ref('stg_accounts') }} group by customer_id
)

select customers.customer_id, counts.customer_id as other
from {{ ref('stg_customers') }} as customers
join {{ ref('stg_accounts') }} as accounts on accounts.customer_id = customers.customer_id
<<join counts on counts.holdings = cast(accounts.account_id as bigint)
""",
    "an aggregate without group by": """select <<median(balance) as middle, current_timestamp as load_timestamp
from {{ ref('stg_accounts') }}
""",
}
HELP = {
    "a window without partition by": "partition the window by a key of the rows",
    "grouping sets": "one model for each grouping, joined by union all",
    "a limit over all rows": "rank within a key instead: row_number() over (partition by key "
                             "order by ..) and a filter on it",
    "rows that depend on the epoch's time": "compare a plain column with current_timestamp plus or "
                                            "minus a constant, as a condition of its own; compute "
                                            "ages and the like where they are read",
    "a join without an equality": "join on an equality of keys, with the rest of the condition "
                                  "beside it",
    "a recursive query": "unroll it to a fixed depth, or keep it out of the epoch",
    "a key that is computed from several rows or inputs": "compute the key in a model of its own, and "
                                                          "join or group by its column",
    "an aggregate without group by": "group by a key, or keep the single row in a model of its own",
}
SUMMARY = """\
marts.customer_summary                   a change costs: touched keys
  dim_accounts_current                   touched keys by customer_id
  dim_customers_current                  touched keys by customer_id
  fact_transactions                      touched keys by customer_id
plan
  project
    left join
      project
        left join
          as customers
            scan dim_customers_current
          as holdings
            project
              group by dim_accounts_current.customer_id  (by signed partials)
                scan dim_accounts_current
      as activity
        project
          group by fact_transactions.customer_id  (by signed partials)
            scan fact_transactions
"""
# A row's cost becomes that of its group: a window in the place of a plain column.
WORSE = ("currency,", "min(currency) over (partition by customer_id) as currency,")


@dataclass(frozen=True)
class Desk:
    """The program with a configuration that names one lake, there or not."""

    program: Program
    config: Path

    def explain(self, *arguments, code: int = DONE) -> tuple[str, str]:
        """What it printed, and what it said beside."""
        run = self.program.spawn("explain", *arguments, "--config", self.config)
        assert run.wait() == code, f"{arguments}: {run.errors()}"
        return run.out.read_text(), run.errors()

    def told(self, *arguments, code: int = DONE) -> dict[str, dict]:
        """The models of `--json`, by name."""
        out, _ = self.explain(*arguments, "--json", code=code)
        return {model["name"]: model for model in json.loads(out)["models"]}


def desk_on(freshet, folder: Path, lake: Path) -> Desk:
    config = folder / "freshet.toml"
    config.write_text('[kafka]\nbrokers = "127.0.0.1:1"\nprefix = "banking_server"\n'
                      f'[lake]\nurl = "{lake}"\n[models]\ndir = "{MODELS}"\n')
    return Desk(Program(freshet, folder / "runs"), config)


@pytest.fixture
def desk(freshet, tmp_path) -> Desk:
    """Without a lake: nothing is known of what a model cost before."""
    return desk_on(freshet, tmp_path, tmp_path / "nowhere")


@pytest.fixture(scope="session")
def lake(runs) -> Path:
    """A lake of the bank's own project."""
    _, capture = runs.life(*TINY_LIFE)
    return runs.replay(capture, TINY).root


def edited(folder: Path, name: str, old: str, new: str) -> Path:
    """The bank's project with one change to one model."""
    project = copy_project(folder)
    text = (project / name).read_text()
    assert text.count(old) == 1, f"{name} has other words now"
    (project / name).write_text(text.replace(old, new))
    return project


def with_model(folder: Path, marked: str) -> tuple[Path, str]:
    """The bank's project with the model `marts/m.sql`, and the place that is marked in it."""
    project = copy_project(folder)
    before, after = marked.split("<<")
    (project / "marts" / "m.sql").write_text(before + after)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return project, f"marts/m.sql:{line}:{column}"


def test_a_model_is_explained(desk):
    """Its cost, each input with its mode and keys, its operators; of all models, the first two."""
    out, _ = desk.explain("customer_summary")
    told, _, tests = out.partition("\n\ndata tests: ")
    assert told.splitlines() == SUMMARY.splitlines()
    costs = [int(n) for n in re.findall(r"(\d+) (?:cost changed rows|touched keys|everything)", tests)]
    assert len(costs) == 3 and sum(costs) > 5 and costs[2] == 0, "its tests follow too"
    model = desk.told("customer_summary")["customer_summary"]
    assert (model["cost"], model["cost_before"], model["at"]) == ("keys", None, None)
    assert {(i["relation"], i["cost"], *i["keys"]) for i in model["inputs"]} == {
        (name, "keys", "customer_id")
        for name in ("dim_accounts_current", "dim_customers_current", "fact_transactions")}
    assert [f"  {line}" for line in model["plan"]] == SUMMARY.splitlines()[5:]
    everything, _ = desk.explain()
    assert everything.count("a change costs:") == BANK_MODELS and "plan" not in everything
    assert "\n".join(SUMMARY.splitlines()[:4]) in everything
    assert everything.count("  history: a version for every transaction that changed the row") == 2


def test_a_model_that_is_not_there(desk):
    _, said = desk.explain("customer_sumary", code=INVALID)
    assert 'no model "customer_sumary"' in said and 'did you mean "customer_summary"?' in said


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_stands_in_the_way_is_named_at_its_place(desk, tmp_path, obstacle):
    models, place = with_model(tmp_path / "project", OBSTACLES[obstacle])
    out, _ = desk.explain("m", "--models", models)
    assert re.search(r"^marts.m +a change costs: everything$", out, re.MULTILINE), out
    assert f"\n    {place}: {obstacle}\n    what helps: {HELP[obstacle]}\n" in out
    model = desk.told("m", "--models", models)["m"]
    assert (model["cost"], model["at"]) == ("full", place)
    assert {i["obstacle"] for i in model["inputs"]} == {obstacle}
    _, said = desk.explain("--strict", "--models", models, code=REFUSED)
    alone, complaint = said.splitlines()
    assert alone.startswith("no earlier costs to compare with")
    assert complaint == f'{place}: a change of model "m" costs everything'


def test_the_banks_own_models_are_never_recomputed(desk):
    models = desk.told("--strict")
    assert len(models) >= BANK_MODELS
    assert "full" not in {model["cost"] for model in models.values()}
    assert {model["at"] for model in models.values()} == {None}


def test_a_model_that_got_worse_is_refused_by_the_lakes_last_epoch(freshet, lake, tmp_path):
    desk = desk_on(freshet, tmp_path, lake)
    assert all(m["cost_before"] == m["cost"] for m in desk.told("--strict").values())
    models = edited(tmp_path / "project", "staging/stg_accounts.sql", *WORSE)
    _, said = desk.explain("--strict", "--models", models, code=REFUSED)
    worse = 'model "stg_accounts" got worse: a change cost changed rows, now touched keys'
    assert said == f"staging/stg_accounts.sql:1:1: {worse}\n"
    # Without --strict it only tells.
    told = desk.told("stg_accounts", "--models", models)["stg_accounts"]
    assert (told["cost_before"], told["cost"]) == ("rows", "keys")


def test_an_earlier_explanation_stands_for_the_lake(freshet, lake, tmp_path):
    desk = desk_on(freshet, tmp_path, lake)
    models = edited(tmp_path / "project", "staging/stg_accounts.sql", *WORSE)
    files = {}
    for name, arguments in (("good", ()), ("worse", ("--models", models))):
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(desk.explain(*arguments, "--json")[0])
    _, said = desk.explain("--strict", "--models", models, "--against", files["good"], code=REFUSED)
    assert 'model "stg_accounts" got worse' in said
    desk.explain("--strict", "--models", models, "--against", files["worse"], code=DONE)
    desk.explain("--strict", "--against", files["worse"], code=DONE)
    (tmp_path / "other.json").write_text("[]")
    for name, code in (("other", INVALID), ("nowhere", UNAVAILABLE)):
        _, said = desk.explain("--strict", "--against", tmp_path / f"{name}.json", code=code)
        assert f"{name}.json" in said

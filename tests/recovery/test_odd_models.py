"""Models unlike the bank's own: lists, recursions, rows of no relation. Each is followed through many
epochs, proved from nothing, and found as it was by the next run. And models that are edited.
"""

import json
from pathlib import Path

import pytest

from .program import Program, project_with, replaying
from .tables import Lake

STEPS = "with recursive steps as (select 1 as n union all select n + 1 from steps where n < 3) "
ACCOUNTS = "{{ ref('stg_accounts') }} as accounts"
# A model, and what must be true of its rows beside stg_accounts'.
ODD = {
    "lists": (
        f"select customer_id, array_agg(account_id order by account_id) as accounts from {ACCOUNTS} "
        "group by customer_id",
        "select count(*) = (select count(distinct customer_id) from stg_accounts) as same, "
        "sum(array_length(accounts)) = (select count(*) from stg_accounts) as all_there from lists"),
    "steps": (
        f"{STEPS} select account_id, steps.n from {ACCOUNTS} cross join steps",
        "select count(*) = 3 * (select count(*) from stg_accounts) as same, "
        "count(distinct account_id) = (select count(*) from stg_accounts) as all_there from steps"),
    "series": (
        f"select account_id, s.n from {ACCOUNTS} cross join generate_series(1, 3) as s(n)",
        "select count(*) = 3 * (select count(*) from stg_accounts) as same, "
        "count(distinct account_id) = (select count(*) from stg_accounts) as all_there from series"),
    "ranked": (
        f"{STEPS}, pairs as (select account_id, customer_id, n from {ACCOUNTS} cross join steps) "
        "select account_id, n, row_number() over (partition by customer_id order by account_id, n) as "
        "place from pairs",
        "select count(*) = 3 * (select count(*) from stg_accounts) as same, "
        "count(distinct account_id) = (select count(*) from stg_accounts) as all_there from ranked"),
    "chain": (
        "with recursive chain as (select account_id, cast(customer_id as bigint) as at, 0 as depth "
        f"from {ACCOUNTS} union all select account_id, at - 100, depth + 1 from chain where at > 100) "
        "select account_id, max(depth) as depth from chain group by account_id",
        "select count(*) = (select count(*) from stg_accounts) as same, "
        "max(depth) > 0 as all_there from chain"),
}


def project(folder: Path, models: dict[str, str]) -> Path:
    return project_with(folder, {f"marts/{name}.sql": text for name, text in models.items()})


def proved(program: Program, lake: Path, models: Path) -> dict[str, dict]:
    run = program.spawn("prove", "--json", "--lake", lake, "--models", models)
    code = run.wait()
    told = json.loads(run.out.read_text())
    assert code == 0, told
    return {proof["name"]: proof for proof in told["proofs"]}


def test_odd_models_are_followed_proved_and_found_again(program, capture, tmp_path):
    lake = tmp_path / "lake"
    models = project(tmp_path / "models", {name: text for name, (text, _) in ODD.items()})
    program.expect(0, *replaying(capture, lake), "--models", models)
    proofs = proved(program, lake, models)
    for name, (_, check) in ODD.items():
        assert proofs[name]["rows"] > 0, name
        assert program.sql(str(lake), check) == [{"same": True, "all_there": True}], name
    followed = {name: 0 for name in ODD}
    for decision in Lake(lake).decisions():
        for model in decision["models"]:
            if model["name"] in ODD and model["mode"] == "follow" and model["changed"]:
                followed[model["name"]] += 1
    # A recursion over a relation is made anew, as `freshet explain` says; the others are followed.
    assert followed.pop("chain") == 0 and min(followed.values()) > 3, followed
    # Nothing came: a run that finds its tables as it left them has nothing to make anew.
    before = len(Lake(lake).decisions())
    program.expect(0, *replaying(capture, lake), "--models", models)
    assert len(Lake(lake).decisions()) == before, "a model was made anew at the next start"


def test_an_edited_model_leaves_none_of_its_old_rows(program, capture, tmp_path):
    lake, text = tmp_path / "lake", "select account_id, {} as half from {} where balance {}"
    first = project(tmp_path / "one", {"m": text.format("'low'", ACCOUNTS, "< 500")})
    program.expect(0, *replaying(capture, lake, 500), "--models", first)
    assert program.sql(str(lake), "select distinct half from m") == [{"half": "low"}]
    second = project(tmp_path / "two", {"m": text.format("'high'", ACCOUNTS, ">= 500")})
    program.expect(0, *replaying(capture, lake, 500), "--models", second)
    check = ("select count(*) = (select count(*) from stg_accounts where balance >= 500) as same, "
             "min(half) as least, max(half) as most from m")
    assert program.sql(str(lake), check) == [{"same": True, "least": "high", "most": "high"}]
    assert proved(program, lake, second)["m"]["rows"] > 0


@pytest.mark.parametrize("words", ["tablesample (10)", "sample (10)", "tablesample bernoulli (10)"])
def test_a_sample_is_refused(program, capture, tmp_path, words):
    models = project(tmp_path / "models", {"m": f"select *\nfrom {ACCOUNTS[:-12]} {words}"})
    said = program.expect(2, *replaying(capture, tmp_path / "lake"), "--models", models)
    assert "marts/m.sql:2:" in said and "a sample can't be taken" in said, said

"""What an epoch costs, and that the rows do not show it: a mass update is recomputed, what is less
is followed, and both leave the rows of a recompute.

One lake lives through epochs of chosen sizes on either side of the bounds of the cost gate: more
than 5,000 rows, and more than 30 % of a relation, or 150 % where nothing but the changed rows is
looked at. Its project has two more snapshots, which join
and aggregate, so that no image of one source can tell their history: by their query's change or by
its run in full, they have at most one version of a key in an epoch.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")
pytest.importorskip("duckdb", reason="duckdb is missing: run tests/install")

from recovery.program import Program, replaying  # noqa: E402

from equivalence import fold  # noqa: E402
from equivalence.crowd import Crowd  # noqa: E402
from equivalence.lake import Lake, assert_same_rows, multiset  # noqa: E402
from equivalence.life import TABLES  # noqa: E402
from equivalence.project import copy_project  # noqa: E402

CUSTOMERS, ACCOUNTS = 20_000, 100
# Of the customers, an update of so many is: small; more than 5,000 rows, yet below 30 %; more than
# that; more than 150 %, each update being two rows.
FEW, MANY, MASS, MOST = 10, 2_600, 3_500, 15_500
KEYED_MAX, ROW_BY_ROW_MAX = 0.3, 1.5
# The models that are recomputed, and in which epoch; those that look at one row at a time go on longer.
RECOMPUTED = {("mass", "customer_summary"), ("most", "stg_customers"), ("most", "customer_summary")}
REASON = '{} rows of "{}" changed, of {}: a recompute costs less'
IN_FULL = "; its query was run in full"
WATCHED = ("email", "number", "money")
HOLDINGS = """
{{% snapshot {name} %}}
{{{{ config(unique_key='customer_id', strategy='check', check_cols=['email', 'number', 'money'],
    hard_deletes='{deletes}') }}}}
select
    customers.customer_id,
    customers.first_name,
    customers.email,
    count(accounts.account_id) as number,
    cast(sum(accounts.balance) as decimal(18, 2)) as money
from {{{{ ref('stg_customers') }}}} as customers
left join {{{{ ref('stg_accounts') }}}} as accounts on accounts.customer_id = customers.customer_id
group by customers.customer_id, customers.first_name, customers.email
{{% endsnapshot %}}
"""
# The two snapshots, and what a delete does in each.
SNAPSHOTS = {"holdings": "invalidate", "holdings_kept": "ignore"}


@dataclass(frozen=True)
class Step:
    """An epoch: what the program said of it, and what the bank held."""

    status: dict
    proving: int
    proofs: dict[str, bool]
    customers: list[dict]

    def model(self, name: str) -> dict:
        return next(m for m in self.status["models"] if m["name"] == name)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """The bank's project with the two snapshots."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    for name, deletes in SNAPSHOTS.items():
        text = HOLDINGS.format(name=name, deletes=deletes)
        (project / "snapshots" / f"{name}.sql").write_text(text)
    return project


@pytest.fixture(scope="module")
def inputs(freshet, models) -> dict[str, list[str]]:
    """What each model reads, as explained."""
    program = Program(freshet, models.parent / "runs")
    run = program.spawn("explain", "--json", "--models", models, "--config", models / "none.toml")
    assert run.wait() == 0, run.errors()
    told = json.loads(run.out.read_text())["models"]
    return {model["name"]: [read["relation"] for read in model["inputs"]] for model in told}


def changes(crowd: Crowd) -> Iterator[str]:
    """Commits an epoch's transaction and tells its name, one after another."""
    yield "load"
    crowd.commit(lambda: crowd.update("customers", FEW, "email", "{}@few.example".format))
    yield "few"
    crowd.commit(lambda: crowd.update("accounts", ACCOUNTS, "balance", "{}.25".format))
    yield "all of little"
    crowd.commit(lambda: crowd.update("customers", MANY, "email", "{}@many.example".format))
    yield "many"
    crowd.commit(lambda: crowd.update("customers", MASS, "email", "{}@mass.example".format))
    yield "mass"
    crowd.commit(lambda: crowd.update("customers", MOST, "email", "{}@most.example".format))
    yield "most"
    crowd.commit(crowd.bank.leave,
                 lambda: crowd.update("customers", FEW, "first_name", "B{}".format),
                 lambda: crowd.update("accounts", FEW, "balance", "{}.50".format))
    yield "few again"


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("crowd") / "lake"


@pytest.fixture(scope="module")
def steps(freshet, models, lake) -> dict[str, Step]:
    """The lake's epochs by name, each proved as soon as it was there."""
    program = Program(freshet, lake.parent / "runs")
    crowd = Crowd(lake.parent / "crowd.jsonl", CUSTOMERS, ACCOUNTS)
    found = {}
    for name in changes(crowd):
        program.expect(0, *replaying(crowd.path, lake, 1_000_000), "--models", models)
        prover = program.spawn("prove", "--json", "--lake", lake, "--models", models)
        proving = prover.wait()
        told = json.loads(prover.out.read_text())["proofs"]
        proofs = {proof["name"]: proof["proved"] for proof in told}
        rows = [fold.customer(row) for row in crowd.bank.rows["customers"].values()]
        found[name] = Step(program.status(str(lake)), proving, proofs, rows)
    return found


def test_only_a_mass_update_is_recomputed(steps):
    for name, changed in (("few", 2 * FEW), ("many", 2 * MANY), ("mass", 2 * MASS)):
        model = steps[name].model("stg_customers")
        assert (model["mode"], model["rows_in"], model["rows_read"]) == ("follow", changed, 0), name
        assert "reason" not in model and model["changed"] == changed
    model = steps["most"].model("stg_customers")
    assert model["mode"] == "recompute" and model["changed"] == 2 * MOST
    assert (model["rows_in"], model["rows_read"]) == (2 * MOST, CUSTOMERS)
    assert model["reason"] == REASON.format(2 * MOST, "banking__customers", CUSTOMERS)


def test_few_rows_are_followed_even_if_they_are_all(steps):
    step = steps["all of little"]
    assert step.model("stg_accounts")["rows_in"] == 2 * ACCOUNTS
    modes = {m["name"]: m["mode"] for m in step.status["models"] if m["rows_in"]}
    assert len(modes) > 5 and "recompute" not in modes.values(), modes


def sizes(status: dict) -> dict[str, tuple[int, int]]:
    """Rows changed and rows there, by relation."""
    found = {m["name"]: (m["changed"], m["rows"]) for m in status["models"]}
    for table in TABLES:
        staged = next(m for m in status["models"] if m["name"] == f"stg_{table}")
        there = status["tables"][f"source/{table}"]["rows"]
        found[f"banking__{table}"] = (staged["rows_in"], there)
    return found


def test_every_model_goes_by_what_it_reads(steps, inputs):
    """The gate by hand, over all models and epochs: what changed most decides, and is named."""
    modes, recomputed = Counter(), set()
    for name, step in list(steps.items())[1:]:
        known = sizes(step.status)
        for model in step.status["models"]:
            modes[model["mode"]] += 1
            read = [(*known[name], name) for name in inputs[model["name"]]]
            assert model["rows_in"] == sum(changed for changed, _, _ in read), model
            if model["mode"] not in ("follow", "recompute"):
                continue
            changed, there, most = max(read, key=lambda r: r[0] / max(r[1], 1))
            share_max = ROW_BY_ROW_MAX if model["cost"] == "rows" else KEYED_MAX
            in_full = changed > 5_000 and changed > share_max * there
            reason = REASON.format(changed, most, there) if in_full else None
            assert (model["mode"] == "recompute", model.get("reason")) == (in_full, reason), model
            if in_full:
                recomputed.add((name, model["name"]))
                assert model["rows_read"] == sum(there for _, there, _ in read), model
    assert modes["follow"] > 20 and modes["unchanged"] > 5, modes
    assert recomputed == RECOMPUTED


def test_a_small_change_reads_little(steps):
    for name in ("few", "few again"):
        read = {m["name"]: m["rows_read"] for m in steps[name].status["models"]}
        assert max(read.values()) < CUSTOMERS / 20, (name, read)


def test_every_epoch_has_the_rows_of_a_recompute(steps, lake):
    """As `prove` finds them at once, and as the bank has them."""
    for name, step in steps.items():
        assert len(step.proofs) > 12 and all(step.proofs.values()), (name, step.proofs)
        assert step.proving == 0, name
        staged = Lake(lake).rows("staging/stg_customers", step.status)
        found = multiset(staged, without=("load_timestamp",))
        assert_same_rows(found, multiset(step.customers), name)
    # Nor was any of it wrong for a while, until a proof beside the epochs found it.
    assert not (lake / "_freshet" / "proofs").exists()


def holdings(lake: Lake, decision: dict) -> dict[str, dict]:
    """The snapshots' query by hand, over the sources as an epoch left them."""
    owned: dict[int, list] = {}
    for account in lake.rows("source/accounts", decision):
        owned.setdefault(account["customer_id"], []).append(account["balance"])
    found = {}
    for row in lake.rows("source/customers", decision):
        balances = owned.get(row["id"], [])
        found[str(row["id"])] = {
            "customer_id": str(row["id"]), "first_name": row["first_name"], "email": row["email"],
            "number": len(balances), "money": sum(balances) if balances else None}
    return found


def events(lake: Lake, deletes: str) -> Iterator[fold.Event]:
    """What every epoch says of every key, under the last commit in it."""
    before: dict = {}
    for decision in lake.built():
        rows = holdings(lake, decision)
        at_us = decision["last_commit_us"] or decision["time_us"]
        at = fold.BEGIN + fold.timedelta(microseconds=at_us)
        if deletes == "invalidate":
            yield from ((key, at, decision["epoch"], None) for key in before.keys() - rows.keys())
        yield from ((key, at, decision["epoch"], row) for key, row in rows.items())
        before = rows


def check_histories(lake: Lake) -> dict[str, list[str]]:
    """Both snapshots against the fold over the epochs; each one's reasons, epoch by epoch."""
    last, reasons = lake.last(), {}
    for name, deletes in SNAPSHOTS.items():
        expected = fold.folded(WATCHED, events(lake, deletes))
        found = lake.rows(f"snapshots/{name}", last)
        assert_same_rows(multiset(found), multiset(expected), f"{lake.root.name}: {name}")
        reports = [m for d in lake.built() for m in d["models"] if m["name"] == name]
        assert {m["mode"] for m in reports} <= {"epoch_end", "unchanged"}
        reasons[name] = [m.get("reason", "") for m in reports]
    return reasons


def test_a_history_by_epochs_is_right_whichever_way_it_is_come_by(steps, lake):
    names = list(steps)
    for reasons in check_histories(Lake(lake)).values():
        in_full = [name for name, reason in zip(names, reasons, strict=True) if IN_FULL in reason]
        assert in_full == ["load", "mass", "most"]


def test_a_history_by_epochs_follows_random_lives(runs, models, seeds):
    for seed in range(seeds[0]):
        _, capture = runs.life(seed, transactions=100)
        root = runs.folder / f"holdings-{seed}"
        runs.run(*replaying(capture, root, 30), "--models", models, "--cut-seed", seed,
                 "--interleave-seed", seed)
        for reasons in check_histories(Lake(root)).values():
            followed = [reason for reason in reasons if reason and IN_FULL not in reason]
            assert len(followed) > 5, reasons

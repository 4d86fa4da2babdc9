//! The proof sees what is wrong, says where, and the model is made right again.
//!
//! A file of a mart is written anew with one row changed, as a broken disk or a hand would; nothing in
//! the engine knows of it.

pub mod replay;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use freshet::lake::layout;
use freshet::lake::parquet::{Effort, decode, encode};
use freshet::lake::ranges::Ranges;
use freshet::publish::cursor;
use freshet::transform::options::ProofOptions;

use crate::publish::bank::BankLake;

const MART: &str = "dim_accounts_current";

/// The largest data file of a table.
fn file_of(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let data = files.filter(|path| path.extension().is_some_and(|e| e == "parquet"));
    data.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

/// Damages the mart.
async fn damage(bank: &BankLake) {
    let (planned, _) = bank.planned().await;
    let schema = planned.models.iter().find(|m| m.name == MART).unwrap().spec.schema.clone();
    damage_file(&file_of(&bank.folder.path().join("marts").join(MART)), &schema);
}

/// Gives every row the values of the last one.
fn damage_file(path: &Path, schema: &SchemaRef) {
    let rows = decode(std::fs::read(path).unwrap().into(), schema, "a table").unwrap();
    assert!(rows.num_rows() > 1, "a file of one row can't be damaged like this");
    let last = rows.slice(rows.num_rows() - 1, 1);
    let all: Vec<&RecordBatch> = std::iter::repeat_n(&last, rows.num_rows()).collect();
    let rows = arrow::compute::concat_batches(schema, all).unwrap();
    std::fs::write(path, encode(&rows, Effort::Quick).unwrap()).unwrap();
}

fn prove(lake: &Path, model: Option<&str>) -> (Output, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshet"));
    command.args(["prove", "--json", "--lake"]).arg(lake).args(model);
    let output = command.current_dir(lake).output().unwrap();
    let told = serde_json::from_slice(&output.stdout);
    (output.clone(), told.unwrap_or_else(|_| panic!("{output:?}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_prove_finds_is_told_held_and_made_anew() {
    let mut bank = BankLake::open(40, 11).await;
    for _ in 0..4 {
        bank.live(30).await;
    }
    let folder = bank.folder.path().to_path_buf();
    let (output, told) = prove(&folder, None);
    assert!(output.status.success(), "{told}");
    assert!(told["proofs"].as_array().unwrap().len() > 15, "sources, snapshots and models: {told}");
    damage(&bank).await;
    let (output, told) = prove(&folder, Some(MART));
    assert_eq!(output.status.code(), Some(1), "{told}");
    let found = &told["proofs"][0];
    let count = |key: &str| found[key].as_u64().unwrap();
    assert!(count("too_many") > 0 && count("missing") > 0, "{told}");
    assert!(!found["ranges"].as_array().unwrap().is_empty(), "{told}");
    // Every account but the one whose values all rows have now.
    assert_eq!(found["key"], serde_json::json!(["account_id"]), "{told}");
    let named = found["keys"].as_array().unwrap();
    assert!(
        !named.is_empty() && named.iter().all(|key| key.as_str().unwrap().parse::<u32>().is_ok())
    );
    assert!(count("keys_in_all") >= count("missing"), "{told}");
    let epoch = bank.last().epoch;
    let kept = folder.join(layout::proofs(MART, epoch));
    assert!(kept.join("stored.parquet").exists() && kept.join("recomputed.parquet").exists());
    let holds = cursor::holds(&bank.store(), "snowflake").await.unwrap();
    assert!(holds.iter().any(|h| h.starts_with(&format!("proof-{MART}"))), "{holds:?}");
    // The service makes it anew when it starts, and lets go.
    let mut bank = bank.reopen(None).await;
    assert!(bank.pipeline.wants_rebuild());
    bank.live(10).await;
    assert!(cursor::holds(&bank.store(), "snowflake").await.unwrap().is_empty());
    let (output, told) = prove(&folder, None);
    assert!(output.status.success(), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_reads_anew_what_prove_found_in_the_lake() {
    let mut bank = BankLake::open(40, 13).await;
    bank.live(30).await;
    damage(&bank).await;
    let folder = bank.folder.path().to_path_buf();
    let (output, told) = prove(&folder, Some(MART));
    assert_eq!(output.status.code(), Some(1), "{told}");
    // What it holds in memory is right: only the file is not, and it must be written anew.
    for _ in 0..200 {
        bank.live(3).await;
        if cursor::holds(&bank.store(), "snowflake").await.unwrap().is_empty() {
            break;
        }
    }
    assert!(cursor::holds(&bank.store(), "snowflake").await.unwrap().is_empty(), "still held");
    let (output, told) = prove(&folder, None);
    assert!(output.status.success(), "{told}");
}

/// Of a damaged source table rows of one key are there many times: raw knows them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_prove_finds_wrong_is_made_anew_from_raw() {
    for reopens in [true, false] {
        let mut bank = BankLake::open(40, 15).await;
        bank.live(30).await;
        let folder = bank.folder.path().to_path_buf();
        let (_, catalog) = bank.planned().await;
        let (_, source) = catalog.iter().find(|(name, _)| name.ends_with("accounts")).unwrap();
        let (spec, relation) = (source.spec(), source.relation.clone());
        damage_file(&file_of(&folder.join(&spec.path)), &spec.schema);
        let (output, told) = prove(&folder, None);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let wrong = told["proofs"].as_array().unwrap().iter();
        let ours = wrong.clone().find(|p| p["name"] == *relation).unwrap();
        let count = |key: &str| ours[key].as_u64().unwrap();
        assert!(count("too_many") > 0 && count("missing") > 0, "{told}");
        let wrong = wrong.filter(|p| p["proved"] == false).map(|p| p["name"].as_str().unwrap());
        assert!(wrong.into_iter().any(|name| name == relation), "{told}");
        if reopens {
            bank = bank.reopen(None).await;
            assert!(bank.pipeline.wants_rebuild());
        }
        for _ in 0..200 {
            bank.live(3).await;
            if cursor::holds(&bank.store(), "snowflake").await.unwrap().is_empty() {
                break;
            }
        }
        let (output, told) = prove(&folder, None);
        assert!(output.status.success(), "{told}");
        let table = bank.pipeline.tables().relation(&relation).unwrap();
        let scanned = Ranges::of(&table.scan().unwrap(), table.hasher(), &spec.digest).unwrap();
        assert_eq!(scanned.digest(), table.digest(), "rows in memory are those of the lake");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_reads_the_lake_and_no_copy_of_it() {
    let mut bank = BankLake::open_keeping(34_000, 14).await;
    bank.live(30).await;
    bank.pipeline.keep_all().await;
    let copies = bank.cold.as_ref().unwrap().path().to_path_buf();
    assert!(has_copy(&copies, MART), "the mart has a file that is large enough");
    damage(&bank).await;
    let folder = bank.folder.path().to_path_buf();
    let (output, told) = prove(&folder, Some(MART));
    assert_eq!(output.status.code(), Some(1), "{told}");
    // The copy is right and the lake wrong: what the service holds must become the lake's rows again.
    let mut bank = bank.reopen(None).await;
    bank.live(10).await;
    let (output, told) = prove(&folder, None);
    assert!(output.status.success(), "{told}");
    bank.pipeline.keep_all().await;
    let mut bank = bank.reopen(None).await;
    bank.live(10).await;
    let (output, told) = prove(&folder, None);
    assert!(output.status.success(), "{told}");
    let table = bank.pipeline.tables().relation(MART).unwrap();
    let (planned, _) = bank.planned().await;
    let spec = &planned.models.iter().find(|m| m.name == MART).unwrap().spec;
    let scanned = Ranges::of(&table.scan().unwrap(), table.hasher(), &spec.digest).unwrap();
    assert_eq!(scanned.digest(), table.digest(), "rows in memory are those of the lake");
}

fn has_copy(folder: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inside = |path: PathBuf| {
        path.ends_with(format!("marts.{name}")) || path.is_dir() && has_copy(&path, name)
    };
    entries.into_iter().any(inside)
}

/// The epoch at which the last decision says that a model or a source was proved.
fn proved_at(bank: &BankLake, name: &str) -> Option<u64> {
    let decision = bank.last();
    let model = decision.models.iter().find(|m| m.name == name);
    model.map_or_else(|| decision.proved_sources.get(name).copied(), |model| model.proved)
}

/// A mart, a history and a source: the last two are proved from raw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_continuous_prover_finds_it_beside_the_epochs() {
    for name in [MART, "accounts_snapshot", "banking__accounts"] {
        let mut bank = BankLake::open(40, 12).await;
        bank.proof = ProofOptions { share_percent: 100 };
        bank.live(30).await;
        let (planned, catalog) = bank.planned().await;
        let models = planned.models.iter().map(|m| (m.name.clone(), m.spec.clone()));
        let sources = catalog.iter().map(|(_, source)| (source.relation.clone(), source.spec()));
        let (_, spec) = models.chain(sources).find(|(of, _)| of == name).unwrap();
        damage_file(&file_of(&bank.folder.path().join(&spec.path)), &spec.schema);
        bank = bank.reopen(None).await;
        let mut seen = false;
        for _ in 0..20_000 {
            bank.live(1).await;
            let holds = cursor::holds(&bank.store(), "snowflake").await.unwrap();
            if holds.is_empty() && seen {
                break;
            }
            seen |= holds.iter().any(|hold| hold.starts_with(&format!("proof-{name}")));
        }
        assert!(seen, "no proof said that {name} is wrong");
        let (output, told) = prove(bank.folder.path(), None);
        assert!(output.status.success(), "it was not made anew: {told}");
        for told in bank.store().list(layout::PROVED).await.unwrap() {
            bank.store().delete(told.location.as_ref()).await.unwrap();
        }
        let proved = bank.last().models.iter().filter(|m| m.proved.is_some()).count();
        assert!(proved > 0, "status knows of no proof");
        // What was made anew is proved again, from raw too.
        for _ in 0..20_000 {
            if proved_at(&bank, name).is_some() {
                break;
            }
            bank.live(1).await;
        }
        let proved = proved_at(&bank, name);
        assert!(proved.is_some(), "{name} is not proved again");
        // And that is known after a start.
        bank = bank.reopen(None).await;
        bank.live(1).await;
        assert!(proved_at(&bank, name) >= proved, "{name} was proved at {proved:?}");
    }
}

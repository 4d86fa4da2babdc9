//! `freshet publish`: status, push, verify, setup, import, hold, reset.
//!
//! Reads committed epochs; needs no lease, since a push is guarded by the target's own ledger.

use std::process::ExitCode;

use super::args::{Publish, PublishPush, PublishSetup, PublishTarget};
use super::desk::{Desk, chosen, targets};
use super::publish_print as print;
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::lake::store::Store;
use crate::publish::attempt::Ended;
use crate::publish::contract::Contract;
use crate::publish::cursor::{self, Cursor, PushRecord};
use crate::publish::snowflake::setup;
use crate::publish::target::Target;
use crate::publish::warehouse::{Cost, Warehouse};
use crate::publish::{import, lakeside, plan, verify};

/// Attempts at a target that another process pushes to as well.
const ATTEMPTS: usize = 5;

/// Does what was typed.
pub async fn run(command: &Publish, config: &Config) -> Result<ExitCode> {
    match command {
        Publish::Status(options) => status(config, options.json).await,
        Publish::Push(options) => push(config, options).await,
        Publish::Verify(options) => compare(config, &options.to, options.json).await,
        Publish::Setup(options) => set_up(config, options).await,
        Publish::Import(options) => {
            take_over(config, &options.from, &options.snapshot, &options.table).await
        }
        Publish::Hold(options) => hold(config, &options.to, Some(&options.why)).await,
        Publish::Release(options) => hold(config, options, None).await,
        Publish::Reset(options) => reset(config, &options.to, &options.tables).await,
    }
}

async fn status(config: &Config, json: bool) -> Result<ExitCode> {
    let store = Store::open_existing(&config.lake)?;
    let latest = recover::latest(&store).await?;
    let mut found = Vec::new();
    for target in targets(config)? {
        let cursor = Cursor::read(&store, target.name()).await?;
        let holds = cursor::holds(&store, target.name()).await?;
        found.push((target.name(), cursor, holds));
    }
    print::status(latest.as_ref(), &found, json)?;
    Ok(ExitCode::SUCCESS)
}

async fn push(config: &Config, options: &PublishPush) -> Result<ExitCode> {
    let mut desk = Desk::open(config, &options.to).await?;
    if let Some(epoch) = options.epoch {
        let found = recover::at(&desk.store, epoch).await?;
        let missing = || Error::invalid(format!("the lake keeps no epoch {epoch}"));
        desk.latest = Some(found.ok_or_else(missing)?);
    }
    let decision = desk.decision()?;
    if !options.force {
        refuse_held(&desk, decision).await?;
    }
    let mut attempt = desk.attempt().await?;
    attempt.adopted = options.overwrite.iter().map(|t| t.to_uppercase()).collect();
    let standing = attempt.warehouse.standing(&desk.contracts).await?;
    let mut from = standing.pushed();
    for _ in 0..ATTEMPTS {
        let span = (from, decision.epoch);
        if from.is_some_and(|from| from > decision.epoch) {
            println!("the target holds epoch {} already", from.unwrap_or(0));
            return Ok(ExitCode::SUCCESS);
        }
        let (store, target) = (&desk.store, desk.target.name());
        let rows_max = attempt.policy.pending_rows_max;
        let mut pending = cursor::waiting(store, target, &desk.contracts, span, rows_max).await?;
        let known = |c: &Contract| standing.ledger.contains_key(&c.table);
        let complete = desk.contracts.iter().all(known);
        if from == Some(decision.epoch) && complete && pending.is_empty()? {
            println!("the target holds epoch {} already", decision.epoch);
            return Ok(ExitCode::SUCCESS);
        }
        match attempt.run(&mut pending, decision).await? {
            Ended::Pushed(cost) => {
                attempt.warehouse.close().await;
                remember(&desk, decision, cost).await?;
                print::pushed(&attempt.warehouse.name(), decision.epoch, cost);
                return Ok(ExitCode::SUCCESS);
            }
            Ended::Fenced(generation) => {
                return Err(Error::Fenced(format!("generation {generation} publishes here now")));
            }
            Ended::Moved(epoch) => from = epoch,
        }
    }
    Err(Error::Fenced("another process keeps pushing to this target".to_owned()))
}

/// For `status`, and so that the service's next start knows what waits.
async fn remember(desk: &Desk, decision: &Decision, cost: Cost) -> Result<()> {
    let (store, target) = (&desk.store, desk.target.name());
    let mut cursor = Cursor::read(store, target).await?;
    cursor.credits_per_hour = desk.target.credits_per_hour();
    "pushed by hand".clone_into(&mut cursor.state);
    cursor.pushed(PushRecord::new(SystemClock.now_us(), decision, cost));
    cursor.waiting.clear();
    cursor.write(store, target).await
}

async fn refuse_held(desk: &Desk, decision: &Decision) -> Result<()> {
    let holds = cursor::holds(&desk.store, desk.target.name()).await?;
    let hint = "mend that first, or push all the same with --force";
    if !holds.is_empty() {
        return Err(Error::failed(format!("held: {}", holds.join("; "))).with_hint(hint));
    }
    let failed: Vec<&str> = decision.failed_tests().map(|t| t.name.as_str()).collect();
    if desk.target.policy().hold_on_failed_tests && !failed.is_empty() {
        let what = format!("held: {} data tests fail: {}", failed.len(), failed.join(", "));
        return Err(Error::failed(what).with_hint(hint));
    }
    Ok(())
}

async fn compare(config: &Config, wanted: &PublishTarget, json: bool) -> Result<ExitCode> {
    let desk = Desk::open(config, wanted).await?;
    let mut warehouse = desk.target.connect()?;
    let compared = compare_once(&desk, warehouse.as_mut()).await;
    warehouse.close().await;
    let (epoch, found) = compared?;
    hold_what_differs(&desk, &found).await?;
    print::verified(epoch, &found, json)?;
    Ok(if found.iter().all(|f| f.same) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Compares as of the epoch that the ledger says; anew where a push came in between.
async fn compare_once(
    desk: &Desk,
    warehouse: &mut dyn Warehouse,
) -> Result<(u64, Vec<verify::Finding>)> {
    let lake = lakeside::identity(&desk.store).await?;
    for _ in 0..ATTEMPTS {
        let standing = warehouse.standing(&desk.contracts).await?;
        let Some(epoch) = standing.pushed() else {
            return Err(Error::invalid(format!("nothing was pushed to {} yet", warehouse.name())));
        };
        let latest = recover::latest(&desk.store).await?.map_or(0, |d| d.epoch);
        plan::refuse_strangers(&standing, &lake, latest)?;
        let decision = recover::at(&desk.store, epoch).await?.ok_or_else(|| {
            Error::invalid(format!("the lake keeps epoch {epoch} no more"))
                .with_hint("push first, or keep more decisions: decisions_kept in [checkpoint]")
        })?;
        let (store, contracts) = (&desk.store, &desk.contracts);
        let found = verify::verify(warehouse, store, &decision, contracts, &standing).await?;
        let same = found.iter().all(|f| f.same);
        if same || warehouse.standing(contracts).await?.pushed() == Some(epoch) {
            return Ok((epoch, found));
        }
    }
    let what = "pushes keep coming in between: hold the target to compare it".to_owned();
    Err(Error::Unavailable { what, cause: None })
}

/// A target that is not what was pushed gets no further pushes, until it was reset or compared
/// again.
async fn hold_what_differs(desk: &Desk, found: &[verify::Finding]) -> Result<()> {
    let differ: Vec<&str> = found.iter().filter(|f| !f.same).map(|f| f.table.as_str()).collect();
    let why = format!("{} differ from the lake", differ.join(", "));
    let why = (!differ.is_empty()).then_some(why.as_str());
    cursor::hold(&desk.store, desk.target.name(), "verify", why).await
}

async fn set_up(config: &Config, options: &PublishSetup) -> Result<ExitCode> {
    let desk = Desk::open(config, &options.to).await?;
    if options.print {
        let text = match &desk.target {
            Target::Snowflake(target, _) => {
                setup::script(target, &desk.contracts, options.reader.as_deref())
            }
            Target::Local(_) => {
                "-- a local file needs no setup: the first push makes it\n".to_owned()
            }
        };
        print::text(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut warehouse = desk.target.connect()?;
    let done = apply(warehouse.as_mut(), &desk).await;
    warehouse.close().await;
    let steps = done?;
    println!(
        "{}: ledger and stage are there, {steps} tables or columns were made",
        warehouse.name()
    );
    Ok(ExitCode::SUCCESS)
}

async fn apply(warehouse: &mut dyn Warehouse, desk: &Desk) -> Result<usize> {
    warehouse.install().await?;
    let standing = warehouse.standing(&desk.contracts).await?;
    let policy = desk.target.policy();
    let steps = plan::shapes(&desk.contracts, &standing, policy, &|s| warehouse.statement(s))?;
    warehouse.shape(&steps).await?;
    warehouse.document(&desk.contracts).await?;
    Ok(steps.len())
}

async fn take_over(
    config: &Config,
    wanted: &PublishTarget,
    snapshot: &str,
    table: &str,
) -> Result<ExitCode> {
    let desk = Desk::open(config, wanted).await?;
    let snapshots = desk.planned.models.iter().filter(|m| m.snapshot.is_some());
    let names: Vec<&str> = snapshots.clone().map(|m| m.name.as_str()).collect();
    let found = snapshots.clone().find(|m| m.name == snapshot);
    let Some(planned) = found.and_then(|m| m.snapshot.as_ref()) else {
        return Err(Error::invalid(format!("there is no snapshot \"{snapshot}\""))
            .with_hint(format!("there are: {}", names.join(", "))));
    };
    if let Err(reason) = &planned.images {
        return Err(Error::invalid(format!(
            "\"{snapshot}\" is not folded from events ({reason}), so that no history can go before them"
        )));
    }
    let mut warehouse = desk.target.connect()?;
    let done =
        import::import(warehouse.as_mut(), &desk.store, snapshot, &planned.spec, table).await;
    warehouse.close().await;
    let done = done?;
    println!(
        "{} versions of {table} were taken over, {} of them open; the next start of the service \
         folds \"{snapshot}\" anew, with them before its own",
        done.versions, done.open
    );
    Ok(ExitCode::SUCCESS)
}

async fn hold(config: &Config, wanted: &PublishTarget, why: Option<&str>) -> Result<ExitCode> {
    let target = chosen(config, wanted)?;
    let store = Store::open_existing(&config.lake)?;
    match why {
        Some(_) => cursor::hold(&store, target.name(), "by hand", why).await?,
        None => cursor::release(&store, target.name()).await?,
    }
    let state = if why.is_some() { "held" } else { "released" };
    println!("{} is {state}", target.name());
    Ok(ExitCode::SUCCESS)
}

async fn reset(config: &Config, wanted: &PublishTarget, tables: &[String]) -> Result<ExitCode> {
    let desk = Desk::open(config, wanted).await?;
    let all = tables.is_empty();
    let tables: Vec<String> = if all {
        desk.contracts.iter().map(|c| c.table.clone()).collect()
    } else {
        tables.iter().map(|t| t.to_uppercase()).collect()
    };
    let mut warehouse = desk.target.connect()?;
    let done = warehouse.forget(&tables, all).await;
    warehouse.close().await;
    done?;
    cursor::hold(&desk.store, desk.target.name(), "verify", None).await?;
    println!(
        "forgotten: {}. What lies in them counts as not ours now: \
         `freshet publish push --overwrite {}` writes them whole",
        tables.join(", "),
        tables.join(",")
    );
    Ok(ExitCode::SUCCESS)
}

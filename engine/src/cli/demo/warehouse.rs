//! The demo's warehouse: a SQLite file beside the lake, or the emulated Snowflake.

use std::path::Path;

use freshet_sql::project::Project;

use crate::checkpoint::decision::Decision;
use crate::cli::args::DemoWarehouse;
use crate::emulator::{Emulator, Options as EmulatorOptions};
use crate::envelope;
use crate::error::{Error, Result};
use crate::lake::store::Store;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::publishing::prepare;
use crate::publish::cursor::Cursor;
use crate::publish::options::{Local, Policy, Snowflake};
use crate::publish::snowflake::credentials::Credentials;
use crate::publish::target::Target;
use crate::publish::verify;
use crate::transform::planned::Planned;

/// Where the demo pushes to.
pub struct Warehouse {
    /// The target, for the line.
    pub target: Target,
    place: String,
    /// It ends with the demo.
    _emulator: Option<Emulator>,
}

impl Warehouse {
    /// Makes or starts it.
    pub async fn start(kind: DemoWarehouse, folder: &Path) -> Result<Self> {
        // The demo is watched: a push a second, and tests that warn of nothing hold nothing.
        let policy = Policy { every_seconds: 1, ..Policy::default() };
        match kind {
            DemoWarehouse::Local => {
                std::fs::create_dir_all(folder).map_err(|e| {
                    Error::unavailable(format!("cannot make \"{}\"", folder.display()), e)
                })?;
                let path = folder.join("warehouse.sqlite");
                let place = path.display().to_string();
                let target = Target::Local(Local { path, policy });
                Ok(Self { target, place, _emulator: None })
            }
            DemoWarehouse::Snowflake => {
                let emulator = Emulator::start(0, EmulatorOptions::default()).await?;
                let place = emulator.url();
                let options = Snowflake { policy, ..Snowflake::at("demo", &emulator.url()) };
                let credentials = Credentials::Password("demo".to_owned());
                let target = Target::Snowflake(Box::new(options), credentials);
                Ok(Self { target, place, _emulator: Some(emulator) })
            }
        }
    }

    /// Compares it with the lake, by its own hashes.
    pub async fn check(
        &self,
        store: &Store,
        decision: &Decision,
        project: &Project,
    ) -> Result<Vec<(String, bool)>> {
        let catalog = Catalog::of(project, &envelope::options::Options::default())?;
        let planned = Planned::new(project, &catalog.columns()).await?;
        let (target, contracts) = prepare(&self.target, project, &planned, &catalog)?;
        let mut warehouse = target.connect()?;
        let standing = warehouse.standing(&contracts).await?;
        let pushed = standing.pushed();
        let found =
            verify::verify(warehouse.as_mut(), store, decision, &contracts, &standing).await?;
        warehouse.close().await;
        let same = found.iter().filter(|f| f.same).count();
        for differs in found.iter().filter(|f| !f.same) {
            tracing::warn!(
                table = differs.table,
                lake_rows = differs.lake_rows,
                target_rows = differs.target_rows,
                ranges = differs.ranges,
                "the warehouse differs from the lake"
            );
        }
        Ok(vec![
            (
                format!("the warehouse holds epoch {} of {}", pushed.unwrap_or(0), decision.epoch),
                pushed == Some(decision.epoch),
            ),
            (
                format!("{same} of {} tables there have the lake's own hashes", contracts.len()),
                same == contracts.len(),
            ),
        ])
    }

    /// What it took, and where to look.
    pub async fn print(&self, store: &Store) -> Result<()> {
        let cursor = Cursor::read(store, self.target.name()).await?;
        let pushes = cursor.recent.len();
        let rows: u64 = cursor.recent.iter().map(|r| r.cost.rows).sum();
        let mut delays: Vec<i64> = cursor.recent.iter().map(|r| r.delay_ms).collect();
        delays.sort_unstable();
        let middle = delays.get(delays.len() / 2).copied().unwrap_or(0);
        println!("\nthe warehouse: {}", self.place);
        println!(
            "  {pushes} pushes, {rows} rows; half of them were visible {middle} ms after their commit"
        );
        match &self.target {
            Target::Local(_) => println!(
                "  sqlite3 {} \"select segment, count(*) from CUSTOMER_SEGMENTS group by 1\"",
                self.place
            ),
            Target::Snowflake(..) => {
                println!("  it ended with the demo; `freshet emulator` runs one for longer");
            }
        }
        Ok(())
    }
}

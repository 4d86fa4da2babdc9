//! A few epochs of one query, told as what the last one changed.

use arrow::array::RecordBatch;

use super::case::texts;
use super::rows::{Row, batch, columns, schema_of};
use super::world::{Table, World};
use crate::change::{ChangeBatch, gathered};
use crate::maintain::{Maintained, Outcome};
use crate::plan::Session;
use crate::plan::full::Way;
use crate::rows::RowHasher;

/// One table's change in an epoch: what goes, what comes.
pub type Step<'s> = (&'s str, &'s [Row], &'s [Row]);

pub const DAY_US: i64 = 86_400_000_000;
pub const START_US: i64 = 1_704_067_200_000_000;

/// Follows a query through epochs a day apart, each compared with its recompute; the last one's change
/// as text, `-` and `+`.
pub async fn last_change(sql: &str, epochs: &[&[Step<'_>]]) -> Vec<String> {
    last_change_within(sql, epochs, u64::MAX).await
}

/// The same where a change may reach so many rows.
pub async fn last_change_within(sql: &str, epochs: &[&[Step<'_>]], limit: u64) -> Vec<String> {
    followed(sql, epochs, limit).await.0
}

/// The same, and how many rows were read for it where it was followed.
pub async fn followed(sql: &str, epochs: &[&[Step<'_>]], limit: u64) -> (Vec<String>, u64) {
    let session = Session::new().unwrap();
    let mut world = World::default();
    let (columns, of_all) = (columns(), schema_of(&columns()));
    let lives = ["t", "u"].map(|name| (name, session.add(name, of_all.clone()).unwrap()));
    for (name, _) in &lives {
        world.tables.insert((*name).to_owned(), Table::empty(&of_all));
    }
    session.set_time(START_US);
    let prepared = session.prepare(session.plan(sql).await.unwrap()).unwrap();
    let maintained = Maintained::new(&session, &prepared).await.unwrap();
    let schema = prepared.schema();
    let hasher = RowHasher::new(&schema, (0..schema.fields().len()).collect());
    let mut own = Table::empty(&schema);
    let (mut told, mut read) = (Vec::new(), 0);
    for (epoch, steps) in (1i64..).zip(epochs) {
        session.set_time(START_US + epoch * DAY_US);
        for (name, live) in &lives {
            let step = steps.iter().find(|step| step.0 == *name);
            let (removed, added) = step.map_or((&[][..], &[][..]), |step| (step.1, step.2));
            let table = world.tables.get_mut(*name).unwrap();
            let (removed, added) = (batch(&columns, removed), batch(&columns, added));
            table.change(ChangeBatch { removed, added });
            live.set(vec![table.after.clone()]);
        }
        let whole: Vec<RecordBatch> = if maintained.is_ordered() {
            maintained.whole(&session, &world).await.unwrap()
        } else {
            session.run_whole(&prepared, Way::default()).await.unwrap().0
        };
        let before_us = START_US + (epoch - 1) * DAY_US;
        let outcome = maintained.change(&session, &world, &hasher, before_us, limit).await;
        told.clear();
        let change = match outcome.unwrap() {
            Outcome::Change(change, rows) if epoch > 1 => {
                read = rows;
                change
            }
            full => {
                if let Outcome::Full(why) = full {
                    told.push(format!("full: {why}"));
                }
                maintained.forget();
                let added = gathered(&schema, whole.clone()).unwrap();
                ChangeBatch { removed: own.after.clone(), added }.consolidate(&hasher).unwrap()
            }
        };
        let sides = [("-", &change.removed), ("+", &change.added)];
        let lines = sides.map(|(sign, rows)| {
            texts(std::slice::from_ref(rows)).into_iter().map(move |row| format!("{sign}{row}"))
        });
        told.extend(lines.into_iter().flatten());
        own.change(change);
        assert_eq!(texts(std::slice::from_ref(&own.after)), texts(&whole), "epoch {epoch}: {sql}");
    }
    (told, read)
}

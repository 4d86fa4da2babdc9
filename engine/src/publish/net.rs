//! What waits to be published: the net change of each mart since the last push.
//!
//! An epoch's changes are folded in as it commits, so what waits is bounded by what differs, never
//! by how long a target was away. A mart whose changes outgrow their bound is sent whole instead.
//! Rows are told apart by all of their columns, audit columns too: the target ends up equal.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use freshet_sql::change::ChangeBatch;
use freshet_sql::rows::RowHasher;

use crate::error::Result;

/// Rows of either weight that are gathered before they are consolidated.
const GATHERED_ROWS: usize = 4_096;

/// One mart's net change.
#[derive(Debug)]
pub struct Net {
    schema: SchemaRef,
    hasher: RowHasher,
    settled: ChangeBatch,
    gathered: Vec<ChangeBatch>,
    gathered_rows: usize,
}

impl Net {
    /// No change to a mart of this schema.
    pub fn new(schema: SchemaRef) -> Self {
        let hasher = RowHasher::all_but(&schema, &[]);
        let settled = ChangeBatch::empty(schema.clone());
        Self { schema, hasher, settled, gathered: Vec::new(), gathered_rows: 0 }
    }

    /// Takes an epoch's change in.
    pub fn fold(&mut self, change: &ChangeBatch) -> Result<()> {
        let columns =
            |b: &RecordBatch| RecordBatch::try_new(self.schema.clone(), b.columns().to_vec());
        let change =
            ChangeBatch { removed: columns(&change.removed)?, added: columns(&change.added)? };
        self.gathered_rows += change.len();
        self.gathered.push(change);
        if self.gathered_rows > GATHERED_ROWS.max(self.settled.len()) {
            self.settle()?;
        }
        Ok(())
    }

    /// Rows of either weight that are held, before what cancels out is taken out.
    pub fn held(&self) -> usize {
        self.settled.len() + self.gathered_rows
    }

    /// Takes out what cancels.
    pub fn settle(&mut self) -> Result<&ChangeBatch> {
        if !self.gathered.is_empty() {
            let all = |side: fn(&ChangeBatch) -> &RecordBatch| {
                let batches = std::iter::once(&self.settled).chain(&self.gathered).map(side);
                concat_batches(&self.schema, batches)
            };
            let change = ChangeBatch { removed: all(|c| &c.removed)?, added: all(|c| &c.added)? };
            self.settled = change.consolidate(&self.hasher)?;
            self.gathered.clear();
            self.gathered_rows = 0;
        }
        Ok(&self.settled)
    }
}

/// What waits of one mart.
#[derive(Debug)]
pub enum Waiting {
    /// Rows that differ.
    Net(Net),
    /// The mart is sent whole, for this reason.
    Whole(String),
}

/// What waits of all marts, between two epochs.
#[derive(Debug)]
pub struct Pending {
    /// The epoch that the target holds; `None` before the first push.
    pub from: Option<u64>,
    /// The epoch that is reached with what waits.
    pub to: u64,
    /// By model.
    pub marts: BTreeMap<String, Waiting>,
    schemas: BTreeMap<String, SchemaRef>,
    rows_max: usize,
}

impl Pending {
    /// Nothing waits: the target holds this epoch, or none.
    pub fn new(from: Option<u64>, schemas: &[(String, SchemaRef)], rows_max: usize) -> Self {
        let waiting = |schema: &SchemaRef| match from {
            Some(_) => Waiting::Net(Net::new(schema.clone())),
            None => Waiting::Whole("the first push".to_owned()),
        };
        Self {
            from,
            to: from.unwrap_or(0),
            marts: schemas.iter().map(|(name, s)| (name.clone(), waiting(s))).collect(),
            schemas: schemas.iter().cloned().collect(),
            rows_max,
        }
    }

    /// Takes an epoch in. Models that are not published are passed by.
    pub fn fold(&mut self, epoch: u64, changes: &BTreeMap<String, ChangeBatch>) -> Result<()> {
        if epoch <= self.to {
            return Ok(());
        }
        for (name, change) in changes {
            if let Some(Waiting::Net(net)) = self.marts.get_mut(name) {
                net.fold(change)?;
            }
        }
        self.to = epoch;
        self.bound()
    }

    /// Marts whose rows this epoch made anew, or whose changes nobody kept, are sent whole.
    pub fn send_whole(&mut self, mart: &str, reason: &str) {
        if let Some(waiting) = self.marts.get_mut(mart)
            && matches!(waiting, Waiting::Net(_))
        {
            *waiting = Waiting::Whole(reason.to_owned());
        }
    }

    /// What waits behind this: nothing yet.
    pub fn successor(&self) -> Self {
        Self {
            from: Some(self.to),
            to: self.to,
            marts: self
                .schemas
                .iter()
                .map(|(name, schema)| (name.clone(), Waiting::Net(Net::new(schema.clone()))))
                .collect(),
            schemas: self.schemas.clone(),
            rows_max: self.rows_max,
        }
    }

    /// Takes in what waits behind it.
    pub fn absorb(&mut self, later: Self) -> Result<()> {
        for (name, waiting) in later.marts {
            match (self.marts.get_mut(&name), waiting) {
                (Some(Waiting::Net(net)), Waiting::Net(mut more)) => net.fold(more.settle()?)?,
                (Some(Waiting::Net(_)), Waiting::Whole(why)) => self.send_whole(&name, &why),
                _ => {}
            }
        }
        self.to = later.to;
        self.bound()
    }

    fn bound(&mut self) -> Result<()> {
        if self.held() <= self.rows_max {
            return Ok(());
        }
        for waiting in self.marts.values_mut() {
            if let Waiting::Net(net) = waiting {
                net.settle()?;
            }
        }
        while self.held() > self.rows_max {
            let largest = self.marts.values_mut().max_by_key(|w| w.held());
            let Some(largest) = largest.filter(|w| w.held() > 0) else { break };
            let reason = format!("over {} changed rows wait", self.rows_max);
            *largest = Waiting::Whole(reason);
        }
        Ok(())
    }

    /// Rows held, over all marts.
    pub fn held(&self) -> usize {
        self.marts.values().map(Waiting::held).sum()
    }

    /// Whether the target equals the epoch reached.
    pub fn is_empty(&mut self) -> Result<bool> {
        for waiting in self.marts.values_mut() {
            match waiting {
                Waiting::Whole(_) => return Ok(false),
                Waiting::Net(net) => {
                    if !net.settle()?.is_empty() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Waiting {
    fn held(&self) -> usize {
        match self {
            Self::Net(net) => net.held(),
            Self::Whole(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    fn rows(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter(vec![("v", column)]).unwrap()
    }

    fn change(removed: &[i64], added: &[i64]) -> BTreeMap<String, ChangeBatch> {
        let change = ChangeBatch { removed: rows(removed), added: rows(added) };
        BTreeMap::from([("m".to_owned(), change)])
    }

    fn values(batch: &RecordBatch) -> Vec<i64> {
        batch.column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    fn pending(rows_max: usize) -> Pending {
        Pending::new(Some(1), &[("m".to_owned(), rows(&[]).schema())], rows_max)
    }

    #[test]
    fn what_comes_and_goes_between_two_pushes_is_not_sent() {
        let mut pending = pending(100);
        pending.fold(2, &change(&[1], &[2])).unwrap();
        pending.fold(3, &change(&[2], &[3])).unwrap();
        pending.fold(3, &change(&[7], &[8])).unwrap();
        assert_eq!(pending.to, 3);
        let Some(Waiting::Net(net)) = pending.marts.get_mut("m") else { panic!("not whole") };
        let net = net.settle().unwrap();
        assert_eq!((values(&net.removed), values(&net.added)), (vec![1], vec![3]));
        pending.fold(4, &change(&[3], &[1])).unwrap();
        assert!(pending.is_empty().unwrap());
    }

    #[test]
    fn a_mart_that_outgrows_the_bound_is_sent_whole() {
        let mut pending = pending(10);
        for epoch in 2..20 {
            let value = i64::try_from(epoch).unwrap();
            pending.fold(epoch, &change(&[], &[value])).unwrap();
            assert!(pending.held() <= 10);
        }
        assert!(matches!(pending.marts["m"], Waiting::Whole(_)) && !pending.is_empty().unwrap());
    }

    #[test]
    fn a_row_that_swings_for_a_day_holds_no_more_than_itself() {
        let mut pending = pending(1_000_000);
        for epoch in 2..30_000 {
            let (old, new) = if epoch % 2 == 0 { (0, 1) } else { (1, 0) };
            pending.fold(epoch, &change(&[old], &[new])).unwrap();
            assert!(pending.held() <= GATHERED_ROWS + 2);
        }
        assert!(pending.is_empty().unwrap());
    }
}

//! Groups moved by their partials: only those that are not known, or that lost an extremum, are read.

use arrow::array::RecordBatch;

use super::delta::Delta;
use super::fetch::Rows;
use super::keys::KeySet;
use super::mutated;
use super::node::AggregateOp;
use super::run::{Run, Stop};
use super::stored::When;
use super::totals::{Partials, Parts, Totals};

impl Run<'_> {
    /// Groups by their partials: only those that are not known, or lost an extremum, are read.
    pub async fn moved_groups(
        &self,
        node: usize,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
    ) -> Result<Delta, Stop> {
        let plus = totals.partials(self.session, &change.added).await?;
        let minus = totals.partials(self.session, &change.removed).await?;
        let none = totals.none();
        let mut groups: Vec<(u128, usize, usize)> = Vec::new();
        for (group, (batch, row, _)) in &plus.of {
            groups.push((*group, *batch, *row));
        }
        for (group, (batch, row, _)) in &minus.of {
            if mutated("totals: a group that only loses rows is left out") {
                continue;
            }
            if !plus.of.contains_key(group) {
                groups.push((*group, plus.keys.len() + batch, *row));
            }
        }
        let mut moved: Vec<Option<(Parts, Parts)>> = Vec::with_capacity(groups.len());
        for (group, _, _) in &groups {
            let known = totals.remembered(*group).map(|before| {
                let after =
                    totals.moved(&before, plus.parts(*group, &none), minus.parts(*group, &none));
                (before, after)
            });
            moved.push(match known {
                Some((before, Some(after))) => Some((before, after)),
                _ => None,
            });
        }
        if moved.iter().any(Option::is_none) {
            let unknown: hashbrown::HashSet<u128> = groups
                .iter()
                .zip(&moved)
                .filter(|(_, known)| known.is_none())
                .map(|((group, _, _), _)| *group)
                .collect();
            let read = self.read_groups(op, totals, change, &unknown).await?;
            for ((group, _, _), known) in groups.iter().zip(&mut moved) {
                if known.is_none() {
                    let after = read.1.parts(*group, &none).clone();
                    let (plus, minus) = (plus.parts(*group, &none), minus.parts(*group, &none));
                    let before = match &read.0 {
                        Some(before) => before.parts(*group, &none).clone(),
                        None => totals.undone(&after, plus, minus),
                    };
                    *known = Some((before, after));
                }
            }
        }
        self.told_groups(node, op, totals, (&plus, &minus), &groups, &moved)
    }

    /// Old and new output rows of moved groups, each of which is remembered.
    fn told_groups(
        &self,
        node: usize,
        op: &AggregateOp,
        totals: &Totals,
        (plus, minus): (&Partials, &Partials),
        groups: &[(u128, usize, usize)],
        moved: &[Option<(Parts, Parts)>],
    ) -> Result<Delta, Stop> {
        let keys: Vec<&RecordBatch> = plus.keys.iter().chain(&minus.keys).collect();
        let always = op.groups.is_everything();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for ((group, batch, row), parts) in groups.iter().zip(moved) {
            let Some((before, after)) = parts else { continue };
            self.moved_group(node, *group, before, after);
            if mutated("totals: the old row of a group stays") {
                continue;
            }
            if always || before[0] > 0 {
                old.push((*batch, *row, before));
            }
            let gone = after[0] <= 0 && !mutated("totals: an empty group stays");
            if mutated("totals: the row of everything goes with its rows") && after[0] == 0 {
                continue;
            }
            if always || !gone {
                new.push((*batch, *row, after));
            }
        }
        let schema = &self.plan.nodes[node].columns;
        let removed = vec![totals.rows(schema, &keys, &old)?];
        Ok(Delta { removed, added: vec![totals.rows(schema, &keys, &new)?] })
    }

    /// Groups by what is remembered of them; those that are not known are read.
    pub async fn known_groups(
        &self,
        node: usize,
        op: &AggregateOp,
        totals: &Totals,
        keys: &KeySet,
        when: When,
    ) -> Result<Rows, Stop> {
        // What this epoch moves must be known before anything is taken as it was.
        Box::pin(self.delta(node)).await?;
        let asked = totals.group_rows(keys)?;
        let groups = totals.groups(&asked)?;
        let mut found: Vec<Option<Parts>> = Vec::with_capacity(groups.len());
        for group in &groups {
            let moved = self.moved(node, *group).map(|(before, after)| match when {
                When::Before if mutated("totals: a moved group was there before") => after,
                When::Before => before,
                When::After if mutated("totals: a moved group is as it was") => before,
                When::After => after,
            });
            let moved = moved.filter(|_| !mutated("totals: a moved group is as remembered"));
            found.push(moved.or_else(|| totals.remembered(*group)));
        }
        let unknown = keys.only(|_| Ok(found.iter().map(Option::is_none).collect()))?;
        if !unknown.is_empty() {
            // Groups that this epoch does not touch: they are the same at both moments.
            let rows = Box::pin(self.fetch(&op.by_group, &unknown, When::After)).await?;
            let read = totals.partials(self.session, &rows).await?;
            for (group, known) in groups.iter().zip(&mut found) {
                if known.is_none() {
                    let parts = read.of.get(group).map(|(_, _, parts)| parts.clone());
                    let parts = parts.unwrap_or_else(|| totals.none());
                    self.moved_group(node, *group, &parts, &parts);
                    *known = Some(parts);
                }
            }
        }
        let there: Vec<(usize, usize, &Parts)> = found
            .iter()
            .enumerate()
            .filter_map(|(row, parts)| Some((0, row, parts.as_ref()?)))
            .filter(|(_, _, parts)| parts[0] > 0 || mutated("totals: every asked group is there"))
            .collect();
        let schema = &self.plan.nodes[node].columns;
        Ok(vec![totals.rows(schema, &[&asked], &there)?])
    }

    /// The one row of an aggregate over everything, from what is remembered of it.
    pub async fn single_row(
        &self,
        node: usize,
        op: &AggregateOp,
        totals: &Totals,
        when: When,
    ) -> Result<Rows, Stop> {
        let change = Box::pin(self.delta(node)).await?;
        let moved = match when {
            When::Before => &change.removed,
            When::After => &change.added,
        };
        if moved.iter().any(|b| b.num_rows() > 0) && !mutated("totals: the one row never moves") {
            return Ok(moved.clone());
        }
        let group = totals.everything();
        let parts = match totals.remembered(group) {
            Some(parts) => parts,
            None => {
                let _priming = self.priming();
                let rows = Box::pin(self.all(op.input, When::After)).await?;
                let made = totals.partials(self.session, &rows).await?;
                let parts =
                    made.of.get(&group).map_or_else(|| totals.none(), |(_, _, p)| p.clone());
                self.moved_group(node, group, &parts, &parts);
                parts
            }
        };
        let schema = &self.plan.nodes[node].columns;
        Ok(vec![totals.rows(schema, &[], &[(0, 0, &parts)])?])
    }

    /// Partials of groups from their rows: before the epoch, where a subtraction can't tell, and after.
    async fn read_groups(
        &self,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
        wanted: &hashbrown::HashSet<u128>,
    ) -> Result<(Option<Partials>, Partials), Stop> {
        let keys = self.keys_of_groups(op, totals, change, wanted)?;
        let _priming = self.priming();
        let moment =
            if mutated("totals: a group is read as it was") { When::Before } else { When::After };
        let after = self.fetch(&op.by_group, &keys, moment).await?;
        let after = totals.partials(self.session, &after).await?;
        if !totals.has_extrema() || mutated("totals: extrema are undone by subtraction") {
            return Ok((None, after));
        }
        let before = self.fetch(&op.by_group, &keys, When::Before).await?;
        Ok((Some(totals.partials(self.session, &before).await?), after))
    }

    /// The keys of the changed rows that lie in one of these groups.
    fn keys_of_groups(
        &self,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
        wanted: &hashbrown::HashSet<u128>,
    ) -> Result<KeySet, Stop> {
        let keys = op.groups.set(change.both())?;
        Ok(keys.only(|columns| totals.groups_among(columns, wanted))?)
    }
}

//! MERGE: deletes, updates and inserts by one condition.
//!
//! The first clause whose condition holds is the one. A target's row that two source rows reach is
//! an error, as ERROR_ON_NONDETERMINISTIC_MERGE says by default.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use hashbrown::HashSet;
use sqlparser::ast::{
    AssignmentTarget, Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertKind, Statement,
};

use super::World;
use super::answer::{MERGE, Outcome, Refused, compilation, counts};
use super::query::{self, ROW};
use super::rewrite::Place;
use super::sessions::SessionId;
use super::tables::Table;
use super::write::{Opened, changed, numbered_factor, numbers, open, places, spread, without};

struct Plan<'m> {
    world: &'m World,
    session: SessionId,
    name: String,
    tables: Vec<String>,
    table: Table,
    merge: &'m Merge,
}

/// Runs it.
pub async fn merge(
    world: &mut World,
    session: SessionId,
    mut statement: Statement,
    place: &Place,
) -> Outcome {
    let Opened { name, tables, table } = open(world, session, &mut statement, place)?;
    let Statement::Merge(merge) = statement else { return Err(compilation("no merge")) };
    let plan = Plan { world, session, name, tables, table, merge: &merge };
    let (gone, updated, deleted) = plan.matched().await?;
    let inserted = plan.inserted().await?;
    let updates: usize = updated.iter().map(RecordBatch::num_rows).sum();
    let inserts: usize = inserted.iter().map(RecordBatch::num_rows).sum();
    let mut rows = without(&plan.table.schema, &plan.table.rows, &gone)?;
    rows.extend(updated);
    rows.extend(inserted);
    let has = |wanted: fn(&MergeAction) -> bool| merge.clauses.iter().any(|c| wanted(&c.action));
    let mut told = Vec::new();
    if has(|a| matches!(a, MergeAction::Insert(_))) {
        told.push(("number of rows inserted", inserts));
    }
    if has(|a| matches!(a, MergeAction::Update(_))) {
        told.push(("number of rows updated", updates));
    }
    if has(|a| matches!(a, MergeAction::Delete { .. })) {
        told.push(("number of rows deleted", deleted));
    }
    let name = plan.name.clone();
    world.tables.write(session, &name, rows);
    counts(&told, MERGE)
}

impl Plan<'_> {
    fn clauses(&self, kind: MergeClauseKind) -> Vec<&MergeClause> {
        self.merge.clauses.iter().filter(|c| c.clause_kind == kind).collect()
    }

    /// The number of the first clause that holds, from 1; 0 for none.
    fn first(clauses: &[&MergeClause]) -> String {
        let condition =
            |c: &MergeClause| c.predicate.as_ref().map_or("TRUE".to_owned(), |p| p.to_string());
        let arms = clauses
            .iter()
            .enumerate()
            .map(|(i, c)| format!("WHEN {} THEN {}", condition(c), i + 1));
        format!("CASE {} ELSE 0 END", arms.collect::<Vec<_>>().join(" "))
    }

    async fn ask(&self, text: &str) -> std::result::Result<Vec<RecordBatch>, Refused> {
        let numbered = Some(self.name.as_str());
        query::rows(self.world, self.session, text, &self.tables, numbered).await.map(|r| r.1)
    }

    /// Rows that go, rows in place of some, and how many are only deleted.
    async fn matched(&self) -> std::result::Result<(Vec<usize>, Vec<RecordBatch>, usize), Refused> {
        let clauses = self.clauses(MergeClauseKind::Matched);
        if clauses.is_empty() {
            return Ok((Vec::new(), Vec::new(), 0));
        }
        let (factor, source) = (numbered_factor(&self.merge.table), &self.merge.source);
        let (on, first) = (&self.merge.on, Self::first(&clauses));
        let text = format!(
            "SELECT \"{ROW}\", CAST({first} AS BIGINT) AS \"#clause\" \
             FROM {factor} JOIN {source} ON {on} WHERE {first} > 0"
        );
        let reached = self.ask(&text).await?;
        let gone = numbers(&reached);
        if gone.iter().collect::<HashSet<_>>().len() < gone.len() {
            let message = "Duplicate row detected during DML action".to_owned();
            return Err(Refused { code: "100090", state: "42P18", message });
        }
        let mut updated = Vec::new();
        let mut deleted = 0;
        for (i, clause) in clauses.iter().enumerate() {
            let here = i64::try_from(i + 1).unwrap_or(0);
            match &clause.action {
                MergeAction::Update(update) => {
                    let mut cells = self.own_cells();
                    for assignment in &update.assignments {
                        let AssignmentTarget::ColumnName(column) = &assignment.target else {
                            return Err(compilation("an update of several columns at once"));
                        };
                        let at = places(&self.table.schema, std::slice::from_ref(column))?;
                        cells[at[0]] = assignment.value.to_string();
                    }
                    let named = cells.iter().enumerate().map(|(i, c)| format!("{c} AS \"c{i}\""));
                    let text = format!(
                        "SELECT \"{ROW}\", {} FROM {factor} JOIN {source} ON {on} WHERE {first} = {here}",
                        named.collect::<Vec<_>>().join(", ")
                    );
                    updated.extend(changed(&self.ask(&text).await?, &self.table.schema)?);
                }
                _ => {
                    let chosen = |b: &RecordBatch| {
                        let clause = b.column(1).as_primitive::<Int64Type>();
                        clause.values().iter().filter(|c| **c == here).count()
                    };
                    deleted += reached.iter().map(chosen).sum::<usize>();
                }
            }
        }
        Ok((gone, updated, deleted))
    }

    /// The target's own columns, under its alias.
    fn own_cells(&self) -> Vec<String> {
        let factor = numbered_factor(&self.merge.table);
        let alias = factor.rsplit(" AS ").next().unwrap_or_default().to_owned();
        self.table.schema.fields().iter().map(|f| format!("{alias}.\"{}\"", f.name())).collect()
    }

    async fn inserted(&self) -> std::result::Result<Vec<RecordBatch>, Refused> {
        let clauses = self.clauses(MergeClauseKind::NotMatched);
        let mut inserted = Vec::new();
        let first = Self::first(&clauses);
        for (i, clause) in clauses.iter().enumerate() {
            let MergeAction::Insert(insert) = &clause.action else { continue };
            let MergeInsertKind::Values(values) = &insert.kind else {
                return Err(compilation("an insert without values"));
            };
            let row = values.rows.first().ok_or_else(|| compilation("an insert without values"))?;
            let cells = row.iter().enumerate().map(|(i, e)| format!("{e} AS \"c{i}\""));
            let text = format!(
                "SELECT {} FROM {} LEFT ANTI JOIN {} ON {} WHERE {first} = {}",
                cells.collect::<Vec<_>>().join(", "),
                self.merge.source,
                numbered_factor(&self.merge.table),
                self.merge.on,
                i + 1
            );
            let places = places(&self.table.schema, &insert.columns)?;
            for batch in self.ask(&text).await? {
                inserted.push(spread(&batch, &places, &self.table.schema)?);
            }
        }
        Ok(inserted)
    }
}

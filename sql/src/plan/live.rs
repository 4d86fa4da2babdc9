//! A relation whose rows change between runs while plans that scan it are kept.
//!
//! Rows are swapped whole, between epochs of one model run: a running query keeps what it started
//! with, so it never sees half a change.

use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

type Rows = Arc<Vec<RecordBatch>>;

/// A handle on the relation: clones share the rows.
#[derive(Debug, Clone)]
pub struct LiveTable {
    schema: SchemaRef,
    rows: Arc<RwLock<Rows>>,
}

impl LiveTable {
    /// An empty relation of this schema.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: Arc::default() }
    }

    /// The relation's columns.
    pub fn columns(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Replaces all rows; the batches must have the relation's schema.
    pub fn set(&self, batches: Vec<RecordBatch>) {
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(batches);
    }

    /// What it holds now.
    pub fn rows(&self) -> Rows {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows();
        let plan = MemorySourceConfig::try_new_exec(
            &[rows.as_ref().clone()],
            self.schema.clone(),
            projection.cloned(),
        )?;
        Ok(plan)
    }
}

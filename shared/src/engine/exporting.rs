//! Export of all records of a tenant, of every owner.

use super::{Engine, EngineError};
use crate::read::{self, Exported, Selection};

impl Engine {
    /// A page of a tenant's records after a cursor, of every owner, each with its owner. For an operator, who has the database anyway: no tool
    /// calls this.
    pub async fn export_all(
        &self,
        tenant: &str,
        of: &Selection,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Exported>, EngineError> {
        Ok(read::export_all(self.db(), tenant, of, after.unwrap_or(0), limit).await?)
    }

    /// Counts a tenant's records, of every owner. For an operator, too.
    pub async fn count_all(&self, tenant: &str, of: &Selection) -> Result<i64, EngineError> {
        Ok(read::count_all(self.db(), tenant, of).await?)
    }
}

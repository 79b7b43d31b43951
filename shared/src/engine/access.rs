//! Who may ask over HTTP, and who did.

use std::time::Duration;

use super::{Engine, EngineError};
use crate::api_keys::{self, Created, Holder, Listed, Rotated, Scopes};
use crate::audit;
use crate::db::Scope;

impl Engine {
    /// Makes an API key for this scope. `None`: there is one of this name.
    pub async fn create_api_key(
        &self,
        scope: &Scope,
        name: &str,
        scopes: Scopes,
        expires_in: Option<Duration>,
    ) -> Result<Option<Created>, EngineError> {
        Ok(api_keys::create(self.db(), scope, name, scopes, expires_in).await?)
    }

    /// Replaces an API key, by its name or number, with one of another secret. `None`: there is no such key.
    pub async fn rotate_api_key(
        &self,
        scope: &Scope,
        key: &str,
        expires_in: Option<Duration>,
        grace: Duration,
    ) -> Result<Option<Rotated>, EngineError> {
        Ok(api_keys::rotate(self.db(), scope, key, expires_in, grace).await?)
    }

    /// Whom an API key stands for, if it is good.
    pub async fn find_api_key(&self, hash: &api_keys::Hash) -> Result<Option<Holder>, EngineError> {
        Ok(api_keys::find(self.db(), hash).await?)
    }

    /// A tenant's API keys.
    pub async fn list_api_keys(&self, scope: &Scope, revoked: bool) -> Result<Vec<Listed>, EngineError> {
        Ok(api_keys::list(self.db(), scope, revoked).await?)
    }

    /// Revokes an API key, by its name or number. Returns the numbers of those that were revoked.
    pub async fn revoke_api_key(&self, scope: &Scope, key: &str) -> Result<Vec<i64>, EngineError> {
        Ok(api_keys::revoke(self.db(), scope, key).await?)
    }

    /// Appends calls to the audit log.
    pub async fn write_audit(&self, calls: &[audit::Entry]) -> Result<(), EngineError> {
        Ok(audit::write(self.db(), calls).await?)
    }
}

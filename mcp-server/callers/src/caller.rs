//! An authenticated caller, and its weight in the fair shares.

use std::{collections::HashMap, sync::Arc};

use pgrecall_access::keys::Scopes;
use pgrecall_config::{Config, Weight};
use pgrecall_postgres::db::Scope;
use pgrecall_record::identity;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The records that it can see, and the name under which it writes.
    pub scope: Scope,
    /// The operations that it may perform.
    pub scopes: Scopes,
    /// Its name in the log: `local`, `key 7` or `user ada`.
    pub name: Arc<str>,
}

impl Caller {
    /// Returns the user of this machine: on stdio, on the command line, and over HTTP without
    /// credentials where that is allowed.
    pub fn local(config: &Config) -> Self {
        Self { scope: config.caller.scope(), scopes: Scopes::ALL, name: "local".into() }
    }

    /// Returns the id under which the caller's permits and requests are counted.
    pub fn id(&self) -> CallerId {
        (self.scope.tenant.clone(), self.name.clone())
    }
}

/// The id of a caller for limits: a tenant's key or user, whatever its scopes.
pub type CallerId = (String, Arc<str>);

/// The weights of callers in the fair shares, where they are not 1.
#[derive(Debug, Clone, Default)]
pub struct Weights(Arc<HashMap<(String, String), u32>>);

impl Weights {
    /// Reads the weights of the configuration.
    pub fn new(weights: &[Weight]) -> Self {
        let named = weights.iter().map(|it| ((it.tenant.clone(), it.owner.clone()), it.weight));
        Self(Arc::new(named.collect()))
    }

    /// Returns the weight of this caller.
    pub fn of(&self, caller: &Caller) -> u32 {
        if self.0.is_empty() {
            return 1;
        }
        let Scope { tenant, owner, .. } = &caller.scope;
        let of = |name: &str| self.0.get(&(tenant.clone(), name.to_owned())).copied();
        of(owner).or_else(|| of(identity::token_subject(owner)?)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_its_users_whether_a_key_or_a_token_names_the_user() {
        let weight = Weight { tenant: "default".into(), owner: "ana".into(), weight: 4 };
        let weights = Weights::new(&[weight]);
        let of = |owner: String| {
            let scope = Scope { tenant: "default".into(), owner, persona: None };
            weights.of(&Caller { scope, scopes: Scopes::ALL, name: "someone".into() })
        };
        let token = |subject: &str| identity::token_owner("https://login.example:8443", subject);
        assert_eq!([of("ana".into()), of(token("ana")), of("bob".into()), of(token("x:ana"))], [4, 4, 1, 1]);
    }
}

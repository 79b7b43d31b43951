//! `keys`: manages the API keys of HTTP callers.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use pgrecall_access::keys::{self, Created, Listed, Scopes};
use pgrecall_config as config;
use pgrecall_postgres::db::Scope;
use pgrecall_record::identity;
use serde_json::json;
use shared::engine::Engine;

use super::{
    context::{Context, Worker},
    failure::Failure,
    help::EXPERT,
    name,
    noting::Noting,
    output::{self, bad, faint},
};

/// Default time until a key expires.
const DEFAULT_EXPIRY: &str = "90d";
/// Maximum number of days until a key expires, unless it never does.
const MAX_DAYS: u64 = 3_650;
const DAY: u64 = 86_400;

/// Manages the API keys of HTTP callers.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Creates a key and prints it. The key is never shown again.
    Create(Create),
    /// Lists the keys of a tenant.
    List(List),
    /// Replaces a key's secret. The old secret stays valid for a while.
    Rotate(Rotate),
    /// Revokes a key. Every server refuses it within five seconds.
    Revoke(Revoke),
}

/// The arguments of `keys create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the key: its owner, or its purpose.
    #[arg(value_parser = owner)]
    name: String,
    /// The rights of callers that use the key.
    #[arg(long, value_parser = Scopes::NAMES, value_delimiter = ',', default_value = "read,write")]
    scopes: Vec<String>,
    /// Time until the key expires, such as 12h or 90d; `never` creates a key that does not expire.
    #[arg(long, value_name = "DURATION|never", value_parser = parse_expiry, default_value = DEFAULT_EXPIRY)]
    expires: Expiry,
    /// The user in whose name callers with the key write. Without it, the name of the key.
    #[arg(long, value_parser = owner, help_heading = EXPERT)]
    user: Option<String>,
    /// The persona as which callers with the key work.
    #[arg(long, value_name = "NAME", value_parser = name, help_heading = EXPERT)]
    persona: Option<String>,
    #[command(flatten)]
    tenant: Tenant,
}

/// The arguments of `keys list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Includes revoked keys.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    tenant: Tenant,
}

/// The arguments of `keys rotate`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The name or number of the key.
    #[arg(value_name = "NAME|NUMBER")]
    key: String,
    /// Time for which the old secret stays valid; `0` ends it at once.
    #[arg(long, value_name = "DURATION", value_parser = parse_grace, default_value = "24h")]
    grace: Duration,
    /// Time until the new key expires, such as 12h or 90d; `never` creates a key that does not
    /// expire.
    #[arg(long, value_name = "DURATION|never", value_parser = parse_expiry, default_value = DEFAULT_EXPIRY)]
    expires: Expiry,
    #[command(flatten)]
    tenant: Tenant,
}

/// The arguments of `keys revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The name or number of the key. With a name, the keys that it replaced are revoked as well.
    #[arg(value_name = "NAME|NUMBER")]
    key: String,
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Debug, Args)]
struct Tenant {
    /// The tenant of the keys.
    #[arg(long, default_value = "default", value_parser = name, help_heading = EXPERT)]
    tenant: String,
}

/// Time until a key expires; `None` means never.
#[derive(Debug, Clone, Copy)]
struct Expiry(Option<Duration>);

pub(super) async fn run(context: &Context, keys: Keys) -> Result<(), Failure> {
    match keys {
        Keys::Create(create) => self::create(context, create).await,
        Keys::List(list) => self::list(context, list).await,
        Keys::Rotate(rotate) => self::rotate(context, rotate).await,
        Keys::Revoke(revoke) => self::revoke(context, revoke).await,
    }
}

async fn create(context: &Context, create: Create) -> Result<(), Failure> {
    let Create { name, scopes, expires, user, persona, tenant } = create;
    let local = context.config.caller.scope();
    if user.is_none() && tenant.tenant == local.tenant && name == local.owner {
        return Err(Failure::Misused(format!(
            "`{name}` is the local user, whose records such a key would open: add `--user {name}` if it shall, or choose another name"
        )));
    }
    let scope = Scope { tenant: tenant.tenant, owner: user.unwrap_or_else(|| name.clone()), persona };
    let scopes = Scopes::named(scopes.iter().map(String::as_str));
    note(context, &scope.tenant, |noting| {
        noting.detail("scopes", scopes.names());
        noting.detail("expires", expires.0.is_some());
    });
    let body = async |engine: &Engine, _: &Scope| {
        let created = keys::create(engine.db(), &scope, &name, scopes, expires.0).await?;
        let created = created.ok_or_else(|| {
            Failure::Misused(format!("there is a key `{name}` already: rotate or revoke it, or choose another name"))
        })?;
        note(context, &scope.tenant, |noting| noting.detail("key", created.id));
        Ok(created)
    };
    let created = context.with_engine(Worker::None, body).await?;
    if context.json {
        let scopes = scopes.names();
        return output::json(&json!({
            "id": created.id, "name": name, "key": created.key, "tenant": scope.tenant, "user": scope.owner,
            "persona": scope.persona, "scopes": scopes, "expires_at": created.expires_at,
        }));
    }
    show(&created)
}

async fn list(context: &Context, list: List) -> Result<(), Failure> {
    let scope = of_tenant(list.tenant.tenant);
    note(context, &scope.tenant, |_| {});
    let body = async |engine: &Engine, _: &Scope| Ok(keys::list(engine.db(), &scope, list.all).await?);
    let keys = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({ "keys": keys, "count": keys.len() }));
    }
    for key in &keys {
        output::line(&line(key))?;
    }
    if keys.is_empty() {
        eprintln!("There are no keys.");
    }
    Ok(())
}

async fn rotate(context: &Context, rotate: Rotate) -> Result<(), Failure> {
    let Rotate { key, grace, expires, tenant } = rotate;
    let scope = of_tenant(tenant.tenant);
    let body = async |engine: &Engine, _: &Scope| {
        let rotated = keys::rotate(engine.db(), &scope, &key, expires.0, grace).await?.ok_or_else(|| unknown(&key))?;
        note(context, &scope.tenant, |noting| {
            noting.detail("key", rotated.replaced);
            noting.detail("replaced_by", rotated.created.id);
            noting.detail("grace_seconds", grace.as_secs());
        });
        Ok(rotated)
    };
    let rotated = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({
            "id": rotated.created.id, "name": rotated.name, "key": rotated.created.key, "tenant": scope.tenant,
            "expires_at": rotated.created.expires_at, "replaced": rotated.replaced, "replaced_ends_at": rotated.replaced_ends_at,
        }));
    }
    show(&rotated.created)?;
    match rotated.replaced_ends_at.filter(|_| !grace.is_zero()) {
        Some(at) => eprintln!("The old key is valid until {}.", output::time(at)),
        None => eprintln!("The old key was revoked. A server that has just seen it may take it for five seconds more."),
    }
    Ok(())
}

async fn revoke(context: &Context, revoke: Revoke) -> Result<(), Failure> {
    let scope = of_tenant(revoke.tenant.tenant);
    let body = async |engine: &Engine, _: &Scope| {
        let revoked = keys::revoke(engine.db(), &scope, &revoke.key).await?;
        note(context, &scope.tenant, |noting| noting.detail("keys", revoked.clone()));
        if revoked.is_empty() { Err(unknown(&revoke.key)) } else { Ok(revoked) }
    };
    let revoked = context.with_engine(Worker::None, body).await?;
    if context.json {
        return output::json(&json!({ "revoked": revoke.key, "ids": revoked }));
    }
    output::line(
        "Revoked. A server that has just seen it may take it for five seconds more; its open streams are closed then, too.",
    )
}

fn of_tenant(tenant: String) -> Scope {
    Scope { tenant, owner: String::new(), persona: None }
}

fn unknown(key: &str) -> Failure {
    Failure::Misused(format!("there is no key `{key}`: `mcp-server keys list` shows them"))
}

/// Adds details to the audit entry of this command.
fn note(context: &Context, tenant: &str, say: impl FnOnce(&Noting)) {
    if let Some(noting) = context.noting() {
        noting.tenant(tenant);
        say(noting);
    }
}

fn show(created: &Created) -> Result<(), Failure> {
    output::line(&created.key)?;
    let until =
        created.expires_at.map_or_else(|| "until it is revoked".to_owned(), |at| format!("until {}", output::time(at)));
    eprintln!(
        "Keep it now: it is not shown again. It is valid {until}. Callers send it as `Authorization: Bearer {}…`.",
        &created.key[..8]
    );
    Ok(())
}

fn line(key: &Listed) -> String {
    let Listed { id, name, user, scopes, .. } = key;
    let replaced = if key.replaced_at.is_some() { "replaced, valid " } else { "" };
    let at = |time: Option<Timestamp>| time.map(output::time);
    let state = match (at(key.revoked_at), at(key.expires_at)) {
        (Some(at), _) => bad(&format!("revoked {at}")),
        (None, Some(at)) if key.expired => bad(&format!("expired {at}")),
        (None, Some(at)) => format!("{replaced}until {at}"),
        (None, None) => format!("{replaced}without an expiry"),
    };
    let persona = key.persona.as_ref().map(|persona| format!(" as {persona}")).unwrap_or_default();
    let used = at(key.last_used_at).map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    let (name, user, persona) = (output::shown(name), output::shown(user), output::shown(&persona));
    let number = faint(&format!("key {id}"));
    format!("{number}  {name}  for {user}{persona}  {}  {state}  {}", scopes.join(","), faint(&used))
}

fn owner(text: &str) -> Result<String, String> {
    identity::check_owner(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry(None));
    }
    let longest = Duration::from_secs(MAX_DAYS * DAY);
    let duration = parse_duration(text).filter(|it| !it.is_zero() && *it <= longest);
    duration.map(|duration| Expiry(Some(duration))).ok_or_else(|| {
        format!(
            "give it with its unit, such as 12h or 90d, at most {MAX_DAYS}d; `never` creates a key without an expiry"
        )
    })
}

fn parse_grace(text: &str) -> Result<Duration, String> {
    let none = (text == "0").then_some(Duration::ZERO);
    let duration = none.or_else(|| parse_duration(text)).filter(|it| *it <= Duration::from_secs(MAX_DAYS * DAY));
    duration.ok_or_else(|| format!("give it with its unit, such as 1h or 7d, at most {MAX_DAYS}d, or 0"))
}

/// Parses a duration as in the configuration, or in days: `90d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    days.map(|days| Duration::from_secs(u64::from(days) * DAY)).or_else(|| config::parse_duration(text))
}

//! `keys`: who may call over HTTP.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use shared::{
    api_keys::{Listed, Scopes},
    db::Scope,
    engine::Engine,
};

use super::{
    context::{Context, Worker},
    failure::Failure,
    output::{self, bad, faint},
};

/// `keys`.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Makes a key and prints it: it is never shown again.
    Create(Create),
    /// Lists the keys of a tenant.
    List(List),
    /// Revokes a key, within seconds wherever it is used.
    Revoke(Revoke),
}

/// `keys create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is called: whose it is, or what for.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// What its callers may do.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "read,write")]
    scopes: Vec<Permission>,
    /// After how long it ends, such as 90d; without it, never.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// Under whose name its callers write; its own name, if that is not given.
    #[arg(long)]
    user: Option<String>,
    /// As which persona they work.
    #[arg(long, value_name = "NAME", value_parser = super::persona)]
    persona: Option<String>,
    #[command(flatten)]
    tenant: Tenant,
}

/// `keys list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Revoked ones, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    tenant: Tenant,
}

/// `keys revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Its name or number.
    #[arg(value_name = "NAME|NUMBER")]
    key: String,
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Debug, Args)]
struct Tenant {
    /// Whose records its callers see.
    #[arg(long, default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    tenant: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Permission {
    Read,
    Write,
    Admin,
}

pub(super) async fn run(context: &Context, keys: Keys) -> Result<(), Failure> {
    match keys {
        Keys::Create(create) => self::create(context, create).await,
        Keys::List(list) => self::list(context, list).await,
        Keys::Revoke(revoke) => self::revoke(context, revoke).await,
    }
}

async fn create(context: &Context, create: Create) -> Result<(), Failure> {
    let Create { name, scopes, expires, user, persona, tenant } = create;
    let scope = Scope { tenant: tenant.tenant, owner: user.unwrap_or_else(|| name.clone()), persona };
    let scopes = Scopes::named(scopes.iter().map(|scope| match scope {
        Permission::Read => "read",
        Permission::Write => "write",
        Permission::Admin => "admin",
    }));
    let body = async |engine: &Engine, _: &Scope| Ok(engine.create_api_key(&scope, &name, scopes, expires).await?);
    let Some(created) = context.with_engine(Worker::None, body).await? else {
        let sentence = format!("there is a key `{name}` already: revoke it first, or choose another name");
        return Err(Failure::Misused(sentence));
    };
    if context.json {
        let scopes = scopes.names();
        return output::json(&json!({
            "id": created.id, "name": name, "key": created.key, "tenant": scope.tenant, "user": scope.owner,
            "persona": scope.persona, "scopes": scopes, "expires_at": created.expires_at,
        }));
    }
    output::line(&created.key)?;
    eprintln!("Keep it now: it is not shown again. Callers send it as `Authorization: Bearer {}…`.", &created.key[..8]);
    Ok(())
}

async fn list(context: &Context, list: List) -> Result<(), Failure> {
    let scope = Scope { tenant: list.tenant.tenant, owner: String::new(), persona: None };
    let body = async |engine: &Engine, _: &Scope| Ok(engine.list_api_keys(&scope, list.all).await?);
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

async fn revoke(context: &Context, revoke: Revoke) -> Result<(), Failure> {
    let scope = Scope { tenant: revoke.tenant.tenant, owner: String::new(), persona: None };
    let body = async |engine: &Engine, _: &Scope| Ok(engine.revoke_api_key(&scope, &revoke.key).await?);
    if !context.with_engine(Worker::None, body).await? {
        return Err(Failure::Misused(format!("there is no key `{}`: `mcp-server keys list` shows them", revoke.key)));
    }
    if context.json {
        return output::json(&json!({ "revoked": revoke.key }));
    }
    output::line("Revoked. A server that has just seen it may take it for five seconds more.")
}

fn line(key: &Listed) -> String {
    let Listed { id, name, user, scopes, .. } = key;
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => bad(&format!("revoked {at}")),
        (None, Some(at)) if key.expired => bad(&format!("expired {at}")),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "for ever".to_owned(),
    };
    let persona = key.persona.as_ref().map(|persona| format!(" as {persona}")).unwrap_or_default();
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    let (name, user, persona) = (output::shown(name), output::shown(user), output::shown(&persona));
    format!("{id}  {name}  {user}{persona}  {}  {state}  {}", scopes.join(","), faint(&used))
}

/// As in the configuration, and days: `90d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let spelt = || text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    let duration = days.map(|days| Duration::from_secs(u64::from(days) * 86_400)).or_else(spelt);
    duration.filter(|it| !it.is_zero()).ok_or_else(|| "give it with its unit, such as 12h or 90d".to_owned())
}

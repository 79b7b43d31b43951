//! `upgrade-postgres`: moves the private database to the newer Postgres.

use pgrecall_runtime::{Runtime, backup::private};
use serde_json::json;

use super::{backup::summary, context::Context, failure::Failure, output};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    if context.config.database.dsn.is_some() {
        return Err(Failure::Misused(
            "the database is a configured one: upgrade its Postgres as its own documentation says".to_owned(),
        ));
    }
    let runtime = Runtime::at(&context.config.paths.runtime);
    let home = &context.config.paths.home;
    let upgraded = context.with_steps(async |say| Ok(private::upgrade(home, &runtime, say).await?)).await?;
    let Some(upgraded) = upgraded else {
        let version = runtime.newer_postgres().major;
        let json = json!({"from": version, "to": version, "kept": null});
        return context.print(&json, &format!("The private database is on Postgres {version} already."));
    };
    if context.json {
        return output::json(
            &json!({"from": upgraded.from, "to": upgraded.to, "rows": upgraded.rows, "kept": upgraded.kept}),
        );
    }
    output::line(&format!(
        "The private database is on Postgres {} now. Every row of it ({}) and the neighbors of stored vectors are the same as on \
         Postgres {}.",
        upgraded.to,
        summary(&upgraded.rows),
        upgraded.from
    ))?;
    output::line(&format!(
        "The old database is in {}: remove that folder when you no longer need it. Settings that you changed in its \
         postgresql.conf were not taken over.",
        upgraded.kept.display()
    ))
}

//! A real Postgres for one test process, gone when the process is, and a database in it for each test.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pgrecall_postgres::db::migrate;
use pgrecall_postgres::dsn::Dsn;
use pgrecall_runtime::{PostgresInstall, Runtime};
use tokio::sync::OnceCell;

use crate::leash::{self, Leash, NOBODY};

/// Where Debian's package `libfaketime` puts it; `scripts/test` installs it.
const FAKETIME: &str = if cfg!(target_arch = "aarch64") {
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"
} else {
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
};
/// The file that tells it by how much the clock is off.
const CLOCK: &str = "clock";

const SERVE: &str = r#"
"$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$DIR/log" 2>&1 || exit 1
"$BIN/postgres" -D "$DIR/data" -k "$DIR" -c listen_addresses= -c fsync=off -c max_connections=200 -c shared_buffers=64MB \
    -c autovacuum_naptime=5s >>"$DIR/log" 2>&1 &
postgres=$!
read -r _
kill -QUIT $postgres
wait $postgres
rm -rf "$DIR"
"#;

/// A Postgres that ends when this is dropped. Its superuser is `postgres`, and its socket asks nobody for a password.
pub struct Cluster {
    directory: PathBuf,
    _leash: Leash,
}

impl Cluster {
    /// One that shares nothing with other tests: for what concerns the whole of it, such as roles.
    pub fn new() -> Self {
        start(None).expect("Postgres starts: see the log in its folder")
    }

    /// One whose clock [`Cluster::set_clock`] moves, by libfaketime.
    pub fn with_clock() -> Self {
        start(Some(Path::new(FAKETIME))).expect("Postgres starts with libfaketime: see the log in its folder")
    }

    /// Moves the server's clock to this many seconds from the true time. Postgres notices within a second.
    pub fn set_clock(&self, seconds: i64) {
        let (file, fresh) = (self.directory.join(CLOCK), self.directory.join("clock.new"));
        std::fs::write(&fresh, format!("{seconds:+}\n")).expect("the server's folder can be written to");
        std::fs::rename(fresh, file).expect("the server's folder can be written to");
    }

    /// How to connect to one of its databases.
    pub fn dsn(&self, user: &str, database: &str) -> String {
        format!("host={} user={user} dbname={database}", self.directory.display())
    }

    /// The folder of its socket, which is also its log's.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE: OnceCell<()> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Where the tests' runtime is. `scripts/test` fills it.
#[expect(clippy::disallowed_methods, reason = "tests are told where the runtime is, as the programs are")]
pub fn runtime() -> Runtime {
    let folder = std::env::var("PGRECALL_RUNTIME").expect("PGRECALL_RUNTIME is set: run the tests with scripts/test");
    Runtime::at(folder)
}

/// A fresh, migrated database of this test's own, as a DSN.
pub async fn database() -> anyhow::Result<String> {
    TEMPLATE
        .get_or_try_init(|| async {
            let dsn = bare_database("template_pgrecall").await?;
            migrate::migrate(&Dsn::parse(&dsn)?).await?;
            anyhow::Ok(())
        })
        .await?;
    create(&format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed)), "template_pgrecall").await
}

/// Like [`database`], for tests that are not asynchronous because the programs that they watch are not in this process.
pub fn database_now() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(database()).expect("Postgres makes a database")
}

/// The first column of what a statement finds, as a superuser, whom no policy concerns; for tests that are not asynchronous.
pub fn texts_now(dsn: &str, statement: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async {
        let (client, connection) = Dsn::parse(dsn).expect("a DSN").connect().await.expect("Postgres answers");
        let serving = pgrecall_process::tasks::connection("test-reads", connection);
        let rows = client.query_typed(statement, &[]).await.expect("the statement is right");
        drop(client);
        serving.await.ok();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// Whether a server takes connections.
pub fn answers_now(dsn: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async { Dsn::parse(dsn).expect("a DSN").connect().await.is_ok() })
}

/// Like [`bare_database`], for tests that are not asynchronous.
pub fn bare_database_now(name: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(bare_database(name)).expect("Postgres makes a database")
}

/// A fresh database with nothing in it.
pub async fn bare_database(name: &str) -> anyhow::Result<String> {
    create(name, "template0").await
}

/// The folder of the server's socket, which is also its log's.
pub fn directory() -> &'static Path {
    &cluster().directory
}

async fn create(name: &str, template: &str) -> anyhow::Result<String> {
    let admin = Dsn::parse(&dsn("postgres"))?;
    // The socket is there a moment before Postgres takes connections on it.
    let deadline = Instant::now() + Duration::from_secs(60);
    let (client, connection) = loop {
        match admin.connect().await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            connected => break connected?,
        }
    };
    let serving = pgrecall_process::tasks::connection("test-admin", connection);
    client
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
        .await
        .context("cloning the template")?;
    drop(client);
    serving.await.ok();
    Ok(dsn(name))
}

fn dsn(database: &str) -> String {
    cluster().dsn("postgres", database)
}

fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(Cluster::new)
}

/// The major version that the tests run on: 16 unless they were told otherwise.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the tests and none of the programs")]
fn wanted_version() -> String {
    std::env::var("PGRECALL_TEST_POSTGRES").unwrap_or_else(|_| "16".to_owned())
}

/// The Postgres that the tests run on.
pub fn install() -> anyhow::Result<PostgresInstall> {
    let (runtime, wanted) = (runtime(), wanted_version());
    let install = if wanted == "16" { runtime.postgres() } else { runtime.newer_postgres() };
    if install.major.to_string() != wanted {
        bail!("PGRECALL_TEST_POSTGRES is {wanted}; the runtime has 16 and {}", runtime.newer_postgres().major);
    }
    Ok(install)
}

fn start(faketime: Option<&Path>) -> anyhow::Result<Cluster> {
    let install = install()?;
    let directory = leash::folder("test");
    if let Some(library) = faketime {
        anyhow::ensure!(library.exists(), "there is no {}: install libfaketime", library.display());
        std::fs::write(directory.join(CLOCK), "+0\n").context("setting the clock")?;
    }
    let server = leash::is_root().then_some(NOBODY);
    std::os::unix::fs::chown(&directory, server, server).context("giving Postgres its folder")?;
    let leash = Leash::script(SERVE, |shell| {
        shell.env("BIN", &install.bin).env("DIR", &directory);
        if let Some(library) = faketime {
            shell.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", directory.join(CLOCK));
            // The time since the start goes on as it is: sleeps and timeouts are not what is tested.
            shell.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        if let Some(user) = server {
            shell.uid(user).gid(user);
        }
    });
    let leash = leash.context("starting Postgres")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::os::unix::net::UnixStream::connect(directory.join(".s.PGSQL.5432")).is_err() {
        if Instant::now() > deadline {
            bail!("Postgres did not start: {}", std::fs::read_to_string(directory.join("log")).unwrap_or_default());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(Cluster { directory, _leash: leash })
}

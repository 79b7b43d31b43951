//! A real Postgres for each test process, stopped when the process ends, with a database for each
//! test.

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

use crate::programs::{self, NOBODY, ProcessGuard};

/// Where Debian's package `libfaketime` installs the library; `scripts/test` installs the package.
const FAKETIME: &str = if cfg!(target_arch = "aarch64") {
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"
} else {
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
};
/// The file from which libfaketime reads the clock's offset.
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

/// A Postgres that is stopped when this is dropped. Its superuser is `postgres`, and its socket
/// requires no password.
pub struct Cluster {
    directory: PathBuf,
    _guard: ProcessGuard,
}

impl Cluster {
    /// Starts a cluster that no other test uses, for tests of cluster-wide objects, such as roles.
    pub fn new() -> Self {
        start(None).expect("Postgres starts: see the log in its folder")
    }

    /// Starts a cluster whose clock [`Cluster::set_clock`] moves, by libfaketime.
    pub fn with_clock() -> Self {
        start(Some(Path::new(FAKETIME))).expect("Postgres starts with libfaketime: see the log in its folder")
    }

    /// Sets the server's clock to this many seconds from the true time. Postgres notices within a
    /// second.
    pub fn set_clock(&self, seconds: i64) {
        let (file, fresh) = (self.directory.join(CLOCK), self.directory.join("clock.new"));
        std::fs::write(&fresh, format!("{seconds:+}\n")).expect("the server's folder can be written to");
        std::fs::rename(fresh, file).expect("the server's folder can be written to");
    }

    /// Returns the DSN of one of the cluster's databases.
    pub fn dsn(&self, user: &str, database: &str) -> String {
        format!("host={} user={user} dbname={database}", self.directory.display())
    }

    /// The folder of the server's socket and its log.
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

/// The folder of the tests' runtime, which `scripts/test` fills.
#[expect(clippy::disallowed_methods, reason = "tests are told where the runtime is, as the programs are")]
pub fn runtime() -> Runtime {
    let folder = std::env::var("PGRECALL_RUNTIME").expect("PGRECALL_RUNTIME is set: run the tests with scripts/test");
    Runtime::at(folder)
}

/// Creates a migrated database for one test, and returns its DSN.
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

/// Like [`database`], for synchronous tests, whose programs run in other processes.
pub fn database_now() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(database()).expect("Postgres makes a database")
}

/// Returns the first column of a query's result. The query runs as a superuser, to whom no
/// row-level security applies. For synchronous tests.
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

/// Whether a server accepts connections.
pub fn answers_now(dsn: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async { Dsn::parse(dsn).expect("a DSN").connect().await.is_ok() })
}

/// Like [`bare_database`], for synchronous tests.
pub fn bare_database_now(name: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(bare_database(name)).expect("Postgres makes a database")
}

/// Creates an empty database.
pub async fn bare_database(name: &str) -> anyhow::Result<String> {
    create(name, "template0").await
}

/// The folder of the server's socket and its log.
pub fn directory() -> &'static Path {
    &cluster().directory
}

async fn create(name: &str, template: &str) -> anyhow::Result<String> {
    let admin = Dsn::parse(&dsn("postgres"))?;
    // The socket exists a moment before Postgres accepts connections on it.
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

/// The major version that the tests run on: 16, or PGRECALL_TEST_POSTGRES.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the tests and none of the programs")]
fn wanted_version() -> String {
    std::env::var("PGRECALL_TEST_POSTGRES").unwrap_or_else(|_| "16".to_owned())
}

/// The Postgres installation that the tests run on.
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
    let directory = programs::folder("test");
    if let Some(library) = faketime {
        anyhow::ensure!(library.exists(), "there is no {}: install libfaketime", library.display());
        std::fs::write(directory.join(CLOCK), "+0\n").context("setting the clock")?;
    }
    let server = programs::is_root().then_some(NOBODY);
    std::os::unix::fs::chown(&directory, server, server).context("giving Postgres its folder")?;
    let guard = ProcessGuard::script(SERVE, |shell| {
        shell.env("BIN", &install.bin).env("DIR", &directory);
        if let Some(library) = faketime {
            shell.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", directory.join(CLOCK));
            // The monotonic clock stays true: sleeps and timeouts are not what these tests change.
            shell.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        if let Some(user) = server {
            shell.uid(user).gid(user);
        }
    });
    let guard = guard.context("starting Postgres")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::os::unix::net::UnixStream::connect(directory.join(".s.PGSQL.5432")).is_err() {
        if Instant::now() > deadline {
            bail!("Postgres did not start: {}", std::fs::read_to_string(directory.join("log")).unwrap_or_default());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(Cluster { directory, _guard: guard })
}

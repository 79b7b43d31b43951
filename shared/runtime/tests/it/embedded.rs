//! Tests of a real private Postgres: sharing, the stop by the last user, and recovery after a kill.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use pgrecall_runtime::{
    Runtime,
    embedded::{Embedded, EmbeddedError},
};
use tokio_postgres::{Client, NoTls};

/// Set for the test binary if it is started as an additional user of the home that it names.
const USER_OF: &str = "PGRECALL_TEST_USER_OF";

#[tokio::test]
async fn two_users_share_one_server_and_the_last_to_leave_stops_it() {
    let home = Home::new("shared");
    let runtime = runtime();
    let (first, second) = tokio::join!(Embedded::join(&home.0, &runtime), Embedded::join(&home.0, &runtime));
    let (first, second) = (first.unwrap(), second.unwrap());
    let server = home.server().unwrap();
    assert_eq!(first.dsn(), second.dsn());
    assert_eq!(query(&first, "SELECT extname FROM pg_extension WHERE extname = 'vector'").await, "vector");

    first.leave().await;
    first.leave().await;
    drop(first);
    assert_eq!(home.server(), Some(server));
    assert_eq!(query(&second, "SELECT current_database()").await, "pgrecall");

    second.leave().await;
    assert_eq!(home.server(), None);
    assert!(!is_alive(server));
}

#[tokio::test]
async fn dropping_is_leaving() {
    let home = Home::new("dropped");
    let embedded = Embedded::join(&home.0, &runtime()).await.unwrap();
    let server = home.server().unwrap();
    drop(embedded);
    assert_eq!(home.server(), None);
    assert!(!is_alive(server));
}

#[tokio::test]
async fn a_killed_server_comes_back_once_and_has_lost_nothing() {
    let home = Home::new("killed-server");
    let runtime = runtime();
    let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
    let other = Embedded::join(&home.0, &runtime).await.unwrap();
    query(&embedded, "CREATE TABLE kept AS SELECT 42::text AS answer").await;
    let connection = connect(&embedded).await;
    let killed = home.server().unwrap();
    kill(killed);

    let (a, b, c) = tokio::join!(embedded.ensure_running(), other.ensure_running(), embedded.ensure_running());
    a.and(b).and(c).unwrap();
    let server = home.server().unwrap();
    assert_ne!(server, killed);
    assert!(connection.simple_query("SELECT 1").await.is_err());
    assert_eq!(query(&other, "SELECT answer FROM kept").await, "42");

    embedded.ensure_running().await.unwrap();
    assert_eq!(home.server(), Some(server));
}

#[tokio::test]
async fn a_busy_process_of_a_killed_server_is_ended_before_the_next_one_starts() {
    let home = Home::new("busy");
    let embedded = Embedded::join(&home.0, &runtime()).await.unwrap();
    let connection = connect(&embedded).await;
    let backend = connection.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0) as u32;
    // Postgres does not check for a lost server during a computation, so this process runs on.
    let busy = connection.simple_query("SELECT count(*) FROM generate_series(1, 100000000000) AS n WHERE n % 7 = 8");
    let restarted = async {
        kill(home.server().unwrap());
        embedded.ensure_running().await
    };
    let (busy, restarted) = tokio::join!(busy, restarted);
    restarted.unwrap();
    assert!(busy.is_err());
    assert!(!is_alive(backend));
    assert_eq!(query(&embedded, "SELECT current_user").await, "postgres");
}

#[tokio::test]
async fn a_killed_user_leaves_a_server_that_the_next_one_takes_over() {
    let home = Home::new("killed-user");
    let runtime = runtime();
    let mut user = Command::new(env::current_exe().unwrap())
        .args(["--exact", "embedded::one_more_user", "--nocapture"])
        .env(USER_OF, &home.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(user.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("joined")));
    let server = home.server().unwrap();
    user.kill().unwrap();
    user.wait().unwrap();
    assert!(is_alive(server), "a server outlives the user that has started it");

    let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
    assert_eq!(home.server(), Some(server));
    embedded.leave().await;
    assert_eq!(home.server(), None);
}

/// Not a test: the process that `a_killed_user_leaves_a_server_that_the_next_one_takes_over` kills.
#[tokio::test]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it talks to the test that has started it")]
async fn one_more_user() {
    let Some(home) = env::var_os(USER_OF) else { return };
    let _embedded = Embedded::join(Path::new(&home), &runtime()).await.unwrap();
    println!("joined");
    std::future::pending().await
}

#[tokio::test]
async fn what_a_dead_server_left_is_no_obstacle_even_if_its_number_is_taken() {
    let home = Home::new("stale");
    let runtime = runtime();
    let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
    let user = fs::metadata(home.0.join("postgres")).unwrap();
    let stale = fs::read_to_string(home.0.join("postgres/postmaster.pid")).unwrap();
    embedded.leave().await;

    // A live process that is not Postgres.
    let mut other = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let rest = stale.split_once('\n').unwrap().1;
    let pid_file = home.0.join("postgres/postmaster.pid");
    fs::write(&pid_file, format!("{}\n{rest}", other.id())).unwrap();
    std::os::unix::fs::chown(&pid_file, Some(user.uid()), Some(user.gid())).unwrap();
    fs::write(home.0.join("socket/.s.PGSQL.5432.lock"), format!("{}\n", other.id())).unwrap();
    fs::create_dir(home.0.join("postgres.new-1")).unwrap();
    let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
    assert_eq!(query(&embedded, "SELECT current_user").await, "postgres");
    assert_eq!(other.try_wait().unwrap(), None);
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn homes_with_odd_or_long_names_work() {
    let runtime = runtime();
    for name in ["it's a \"home\" \\ of ümlauts", "a,b", "a\nb", &format!("long {}", "x".repeat(180))] {
        let home = Home::new(name);
        let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
        assert_eq!(query(&embedded, "SELECT current_user").await, "postgres");
        let socket = query(&embedded, "SHOW unix_socket_directories").await;
        // A long path is given relative to the data folder.
        let socket = home.0.join("postgres").join(socket.trim_matches('"').replace("\"\"", "\""));
        assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
        assert_eq!(socket.canonicalize().unwrap().parent(), home.0.canonicalize().ok().as_deref());
        assert_eq!(query(&embedded, "SHOW listen_addresses").await, "");
    }
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_nothing_running() {
    let home = Home::new("given-up");
    let runtime = runtime();
    drop(Embedded::join(&home.0, &runtime).await.unwrap());
    for moment in [0, 5, 20, 60] {
        let join = Embedded::join(&home.0, &runtime);
        drop(tokio::time::timeout(Duration::from_millis(moment), join).await);
        assert_eq!(home.server(), None, "given up after {moment} ms");
    }
    drop(Embedded::join(&home.0, &runtime).await.unwrap());
}

#[tokio::test]
async fn the_newer_version_works_is_found_again_and_neither_reads_the_others_data() {
    let home = Home::new("newer");
    let runtime = runtime();
    let newer = Embedded::join_with(&home.0, runtime.newer_postgres()).await.unwrap();
    assert!(query(&newer, "SHOW server_version").await.starts_with("18."));
    newer.leave().await;
    let again = Embedded::join(&home.0, &runtime).await.unwrap();
    assert!(query(&again, "SHOW server_version").await.starts_with("18."), "the data decides which version serves it");
    again.leave().await;
    let refused = Embedded::join_with(&home.0, runtime.postgres()).await.unwrap_err();
    assert!(matches!(&refused, EmbeddedError::OtherVersion { found, expected: 16, .. } if found == "18"), "{refused}");
}

#[tokio::test]
async fn a_folder_in_the_way_of_the_servers_user_is_named() {
    let home = Home::new("closed");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return; // Only root's server runs as another user.
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(home.0.join("closed")).unwrap();
    let refused = Embedded::join(&home.0.join("closed/home"), &runtime()).await.unwrap_err();
    let in_the_way = home.0.join("closed").canonicalize().unwrap();
    assert!(matches!(&refused, EmbeddedError::OutOfReach { folder, .. } if *folder == in_the_way), "{refused}");
}

#[tokio::test]
async fn a_folder_without_programs_is_named() {
    let home = Home::new("no-runtime");
    let refused = Embedded::join(&home.0, &Runtime::at("/nowhere")).await.unwrap_err();
    assert!(matches!(&refused, EmbeddedError::NotInstalled { bin } if bin.starts_with("/nowhere")), "{refused}");
}

#[tokio::test]
async fn joining_a_running_server_and_a_warm_start_are_quick() {
    let home = Home::new("quick");
    let runtime = runtime();
    drop(Embedded::join(&home.0, &runtime).await.unwrap());
    let start = Instant::now();
    let embedded = Embedded::join(&home.0, &runtime).await.unwrap();
    let warm = start.elapsed();
    let start = Instant::now();
    Embedded::join(&home.0, &runtime).await.unwrap().leave().await;
    let join = start.elapsed();
    let start = Instant::now();
    embedded.leave().await;
    eprintln!("warm start {warm:?}, join and leave {join:?}, stop {:?}", start.elapsed());
    // Bounds for a busy machine; the usual times are ten times shorter.
    assert!(warm < Duration::from_secs(3) && join < Duration::from_secs(1), "{warm:?} {join:?}");
}

fn runtime() -> Runtime {
    let runtime = pgrecall_harness::postgres::runtime();
    runtime.install(&mut |_| ()).expect("setup");
    runtime
}

/// An empty folder for one test, removed after it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("pgrecall-it-{}-{count}", std::process::id()));
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder.join(name)).expect("a temporary folder");
        Self(folder.join(name))
    }

    /// Returns the process id in Postgres's own file.
    fn server(&self) -> Option<u32> {
        let text = fs::read_to_string(self.0.join("postgres/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

async fn connect(embedded: &Embedded) -> Client {
    let (client, connection) = tokio_postgres::connect(embedded.dsn(), NoTls).await.expect("a connection");
    #[expect(clippy::disallowed_methods, reason = "it ends with its client")]
    tokio::spawn(async move { connection.await.ok() });
    client
}

/// Returns the first column of the first row, or an empty text.
async fn query(embedded: &Embedded, statement: &str) -> String {
    let messages = connect(embedded).await.simple_query(statement).await.expect("an answer");
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or_default().to_owned()
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill").success());
}

/// Whether a process still runs. A process that has ended stays in the process table for a moment,
/// but has no program from the moment its memory is freed.
fn is_alive(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

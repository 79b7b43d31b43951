//! Tests of the private Postgres among other users of the machine.
//!
//! No program connects to another user's server, and no link in a user's home leads root to other
//! files. The tests need root, which acts as the other users as well. Every test has its own home.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use pgrecall_postgres::dsn::{Dsn, DsnError};
use pgrecall_runtime::{
    Runtime,
    backup::{self, BackupError},
    embedded::{Embedded, EmbeddedError},
};
use sha2::{Digest, Sha256};

/// The owner of a home in which root works.
const OWNER: u32 = 65_534;
/// Another user of the machine: `daemon`, since initdb needs a user with a name.
const STRANGER: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(60);

// An earlier version looked for this folder in /tmp, where any user could create it first.
#[tokio::test]
async fn a_strangers_server_at_the_old_short_path_of_a_long_home_is_not_asked() {
    let home = Home::new(&format!("long {}", "x".repeat(120)));
    let old = home.old_short_folder();
    let impostor = Impostor::start(&old, STRANGER);
    let embedded = home.join().await.unwrap();
    let (client, connection) = embedded.address().connect().await.unwrap();
    let serving = pgrecall_process::tasks::connection("test", connection);
    let row = client.query_one("SHOW data_directory", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), home.0.join("postgres").canonicalize().unwrap().display().to_string());
    drop(client);
    serving.await.unwrap();
    embedded.leave().await;
    assert!(!impostor.log().contains("connection received"), "{}", impostor.log());
    drop(impostor);
    fs::remove_dir_all(old).unwrap();
}

// An impostor that replaces the socket folder must receive nothing, such as a password or a query.
#[tokio::test]
async fn a_strangers_server_in_the_place_of_the_socket_is_sent_nothing_and_its_folder_is_named() {
    let home = Home::new("squatted");
    let embedded = home.join().await.unwrap();
    let address = embedded.address().clone();
    embedded.leave().await;
    let socket = home.0.join("socket");
    fs::remove_dir(&socket).unwrap();
    let impostor = Impostor::start(&socket, STRANGER);
    for mode in [0o700, 0o755] {
        fs::set_permissions(&socket, fs::Permissions::from_mode(mode)).unwrap();
        let refused = home.join().await.unwrap_err();
        assert!(matches!(&refused, EmbeddedError::Foreign(DsnError::ForeignFolder(_))), "{refused:?}");
        assert!(refused.to_string().contains(&socket.display().to_string()), "{refused}");
        // Every later connection of a program that has the address is checked as well: a single
        // one, and a pool's.
        assert!(matches!(address.connect().await.err(), Some(DsnError::ForeignFolder(_))));
        let pool = address.pool(1);
        let error = address.explain_pool(pool.get().await.err().unwrap(), 1).await;
        assert!(matches!(error, DsnError::ForeignFolder(_)), "{error}");
    }
    assert!(!impostor.log().contains("connection received"), "{}", impostor.log());
}

// The folder is right, but the process behind the socket belongs to another user.
#[tokio::test]
async fn a_server_that_runs_as_another_user_is_sent_nothing_even_in_the_right_folder() {
    let home = Home::new("peer");
    home.join().await.unwrap().leave().await;
    let socket = home.0.join("socket");
    fs::remove_dir(&socket).unwrap();
    let impostor = Impostor::start(&socket, STRANGER);
    chown(&socket, Some(OWNER), Some(OWNER)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o700)).unwrap();
    let refused = home.join().await.unwrap_err();
    let is_foreign =
        matches!(&refused, EmbeddedError::Foreign(DsnError::ForeignServer { found: STRANGER, expected: OWNER, .. }));
    assert!(is_foreign, "{refused:?}");
    assert!(refused.to_string().contains(&socket.display().to_string()), "{refused}");
    assert!(!impostor.log().contains("connection authorized"), "{}", impostor.log());
}

// Root would otherwise write to, or give away, the file that a link names.
#[tokio::test]
async fn links_in_a_users_home_lead_root_to_none_of_its_files() {
    for name in ["postgres.log", "start.lock", "users.lock"] {
        let home = Home::new("links");
        let secret = home.secret();
        symlink(&secret, home.0.join(name)).unwrap();
        assert_refused(&home.join().await.unwrap_err(), &home.0.join(name));
        assert_untouched(&secret);

        let home = Home::new("dangling");
        let made = home.0.with_file_name("made-by-root");
        symlink(&made, home.0.join(name)).unwrap();
        assert_refused(&home.join().await.unwrap_err(), &home.0.join(name));
        assert!(!made.exists(), "{name}");

        let home = Home::new("hard");
        let secret = home.secret();
        fs::hard_link(&secret, home.0.join(name)).unwrap();
        assert_refused(&home.join().await.unwrap_err(), &home.0.join(name));
        assert_untouched(&secret);
    }
}

// Root would otherwise delete files in the folder that a link names, or change its owner and mode.
#[tokio::test]
async fn folders_of_a_users_home_that_are_links_are_refused_and_what_they_lead_to_stays() {
    let home = Home::new("folders");
    let elsewhere = home.0.with_file_name("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join(".s.PGSQL.5432"), "another server's").unwrap();
    fs::write(elsewhere.join("postmaster.pid"), "1\n").unwrap();
    symlink(&elsewhere, home.0.join("socket")).unwrap();
    let refused = home.join().await.unwrap_err();
    assert!(matches!(&refused, EmbeddedError::Foreign(DsnError::ForeignFolder(_))), "{refused:?}");

    let home = Home::new("data");
    symlink(&elsewhere, home.0.join("postgres")).unwrap();
    let refused = home.join().await.unwrap_err();
    assert!(matches!(&refused, EmbeddedError::LinkedData { .. }), "{refused:?}");
    assert!(elsewhere.join(".s.PGSQL.5432").exists() && elsewhere.join("postmaster.pid").exists());
    let meta = fs::metadata(&elsewhere).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o755));
}

// Opening a pipe that has no writer never returns.
#[test]
fn pipes_in_the_place_of_files_do_not_hold_root_up() {
    let home = Home::new("pipes");
    drop(home.join_in_time().unwrap());
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    pipe(&home.0.join("postgres/postmaster.pid"));
    drop(home.join_in_time().unwrap());
    fs::remove_file(home.0.join("postgres.log")).unwrap();
    pipe(&home.0.join("postgres.log"));
    assert_refused(&home.join_in_time().unwrap_err(), &home.0.join("postgres.log"));
}

// A user who can replace the home can put their own server into it.
#[tokio::test]
async fn a_users_home_in_a_folder_that_everyone_can_write_to_is_refused_to_root() {
    let home = Home::new("replaceable");
    let open = home.0.parent().unwrap();
    chown(&home.0, Some(STRANGER), Some(STRANGER)).unwrap();
    // Writable by everyone, and by a group that is not the private group of its owner.
    for (mode, group) in [(0o777, 0), (0o775, OWNER)] {
        fs::set_permissions(open, fs::Permissions::from_mode(mode)).unwrap();
        chown(open, None, Some(group)).unwrap();
        let refused = home.join().await.unwrap_err();
        assert!(matches!(&refused, EmbeddedError::ReplaceableHome { folder, .. } if folder == open), "{refused:?}");
    }
    chown(open, None, Some(0)).unwrap();
    fs::set_permissions(open, fs::Permissions::from_mode(0o775)).unwrap();
    home.join().await.unwrap().leave().await;
}

// A user who can open a lock file can hold its lock, and so block every start.
#[tokio::test]
async fn other_users_can_open_no_file_of_a_home_and_an_older_home_is_closed_at_the_next_start() {
    let parent = Home::new("parent");
    chown(&parent.0, Some(0), Some(0)).unwrap();
    let home = parent.0.join("home");
    Embedded::join(&home, &runtime()).await.unwrap().leave().await;
    assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o711, "the server's user passes, nobody lists");
    let locks = ["start.lock", "users.lock"].map(|name| home.join(name));
    // The modes that older versions left.
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    for lock in &locks {
        assert_eq!(fs::metadata(lock).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(lock, fs::Permissions::from_mode(0o644)).unwrap();
    }
    Embedded::join(&home, &runtime()).await.unwrap().leave().await;
    for lock in &locks {
        assert_eq!(fs::metadata(lock).unwrap().mode() & 0o777, 0o600);
        let mut flock = Command::new("flock");
        flock.args(["--nonblock", "--exclusive"]).arg(lock).arg("true").stderr(Stdio::null());
        assert!(!flock.uid(STRANGER).gid(STRANGER).status().unwrap().success());
    }
    for name in ["postgres", "socket"] {
        assert_eq!(fs::metadata(home.join(name)).unwrap().mode() & 0o777, 0o700);
    }
}

// Two versions of the programs may use one home during an upgrade.
#[tokio::test]
async fn a_server_that_an_older_version_started_elsewhere_is_joined_and_not_restarted() {
    let home = Home::new(&format!("older {}", "x".repeat(120)));
    home.join().await.unwrap().leave().await;
    let short = home.old_short_folder();
    fs::DirBuilder::new().mode(0o700).create(&short).unwrap();
    chown(&short, Some(OWNER), Some(OWNER)).unwrap();
    let mut older = postgres(OWNER);
    older.arg("-D").arg(home.0.join("postgres").canonicalize().unwrap()).args(["-c", "listen_addresses="]);
    older.args(["-c", &format!("unix_socket_directories={}", short.display())]);
    let log = home.0.with_file_name("older.log");
    older.stderr(fs::File::create(&log).unwrap());
    let older = Running(older.spawn().unwrap());
    wait_until_ready(&log);
    let embedded = home.join().await.unwrap();
    let server = fs::read_to_string(home.0.join("postgres/postmaster.pid")).unwrap();
    assert_eq!(server.lines().next().unwrap(), older.0.id().to_string());
    embedded.leave().await;
    drop(older);
    fs::remove_dir_all(short).unwrap();
}

// pg_checksums survives a parent that is killed, and would write to the files of the next server.
#[tokio::test]
async fn a_program_that_writes_to_the_data_without_its_parent_has_ended_before_the_server_starts() {
    let home = Home::new("orphan");
    home.join().await.unwrap().leave().await;
    let program = home.0.with_file_name("pg_checksums");
    fs::copy("/bin/sleep", &program).unwrap();
    let mut orphan = Command::new(&program);
    let mut orphan = Running(orphan.arg("600").current_dir(&home.0).uid(OWNER).gid(OWNER).spawn().unwrap());
    let embedded = home.join().await.unwrap();
    assert!(orphan.0.try_wait().unwrap().is_some(), "it was ended");
    embedded.leave().await;
}

// A user can put any program into their own runtime.
#[tokio::test]
async fn root_runs_the_programs_of_a_users_runtime_as_that_user() {
    let home = Home::new("programs");
    let (bin, file) = (home.0.join("bin"), home.0.with_file_name("all.dump"));
    fs::create_dir(&bin).unwrap();
    fs::write(&file, "").unwrap();
    fs::write(bin.join("pg_restore"), "#!/bin/sh\nid -u >\"$(dirname \"$0\")/ran\"\nexit 1\n").unwrap();
    fs::set_permissions(bin.join("pg_restore"), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&bin, Some(OWNER), Some(OWNER)).unwrap();
    let dsn = Dsn::parse("host=/nonexistent").unwrap();
    assert!(matches!(backup::restore(&dsn, &bin, &file, false).await, Err(BackupError::Program { .. })));
    assert_eq!(fs::read_to_string(bin.join("ran")).unwrap(), format!("{OWNER}\n"));
}

#[tokio::test]
async fn root_backs_up_a_users_long_home_to_a_folder_that_the_user_cannot_enter_and_restores_it_from_there() {
    let home = Home::new(&format!("backed up {}", "x".repeat(120)));
    let folder = home.0.with_file_name("roots");
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let embedded = home.join().await.unwrap();
    pgrecall_postgres::db::migrate::migrate(embedded.address()).await.unwrap();
    let file = folder.join("all.dump");
    let written = backup::dump(embedded.address(), &runtime().postgres().bin, &file).await.unwrap();
    embedded.leave().await;
    let other = Home::new("restored");
    let options = backup::private::Options::default();
    let restored = backup::private::restore(&other.0, &runtime(), &file, options, |_| ()).await.unwrap();
    assert_eq!(restored.rows, written.rows);
}

fn assert_refused(error: &EmbeddedError, file: &Path) {
    assert!(matches!(error, EmbeddedError::Unsafe { path, .. } if path == file), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

fn assert_untouched(secret: &Path) {
    let meta = fs::metadata(secret).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (0, 0, 0o644), "{}", secret.display());
    assert_eq!(fs::read_to_string(secret).unwrap(), "root's");
}

fn runtime() -> Runtime {
    let runtime = pgrecall_harness::postgres::runtime();
    runtime.install(&mut |_| ()).expect("setup");
    runtime
}

/// Returns a command that runs the runtime's Postgres as a user.
fn postgres(uid: u32) -> Command {
    let mut command = Command::new(runtime().postgres().bin.join("postgres"));
    command.env_clear().current_dir("/").uid(uid).gid(uid);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until the server that writes this log accepts connections. Its socket exists earlier, and
/// until then a connection is refused as if no server ran.
fn wait_until_ready(log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(log).unwrap().contains("ready to accept connections") {
        assert!(Instant::now() < deadline, "{}", fs::read_to_string(log).unwrap());
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A home that a user owns, removed after its test.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        assert_eq!(
            fs::metadata("/proc/self").unwrap().uid(),
            0,
            "these tests play several users, for which they need root"
        );
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("pgrecall-guards-{}-{count}", std::process::id()));
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder.join(name)).unwrap();
        let home = folder.join(name).canonicalize().unwrap();
        chown(&home, Some(OWNER), Some(OWNER)).unwrap();
        Self(home)
    }

    async fn join(&self) -> Result<Embedded, EmbeddedError> {
        Embedded::join(&self.0, &runtime()).await
    }

    /// Joins on a separate thread, which the test does not wait for beyond its timeout.
    fn join_in_time(&self) -> Result<Embedded, EmbeddedError> {
        let (done, joined) = mpsc::channel();
        let home = self.0.clone();
        let join = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = done.send(runtime.block_on(Embedded::join(&home, &self::runtime())));
        };
        thread::Builder::new().name("join".to_owned()).spawn(join).unwrap();
        joined.recv_timeout(PATIENCE).expect("it comes back")
    }

    /// Creates a file of root next to the home.
    fn secret(&self) -> PathBuf {
        let path = self.0.with_file_name("secret");
        fs::write(&path, "root's").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// Returns the folder in which the first version put the socket of a home whose path is too
    /// long.
    fn old_short_folder(&self) -> PathBuf {
        let hash = Sha256::digest(self.0.as_os_str().as_encoded_bytes());
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        PathBuf::from(format!("/tmp/pgrecall-{OWNER}-{hash}"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A real Postgres of another user, to which everyone may connect.
struct Impostor {
    /// Ends before its folder is removed.
    _server: Running,
    folder: Temporary,
}

impl Impostor {
    /// Creates the folder `socket` with this user as its owner, and listens in it.
    fn start(socket: &Path, uid: u32) -> Self {
        let _ = fs::remove_dir_all(socket);
        fs::DirBuilder::new().mode(0o755).create(socket).unwrap();
        chown(socket, Some(uid), Some(uid)).unwrap();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let data = env::temp_dir().join(format!("pgrecall-impostor-{}-{count}", std::process::id()));
        fs::create_dir(&data).unwrap();
        chown(&data, Some(uid), Some(uid)).unwrap();
        let mut initdb = Command::new(runtime().postgres().bin.join("initdb"));
        initdb.args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata"]).arg(data.join("data"));
        initdb.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).uid(uid).gid(uid);
        assert!(initdb.status().unwrap().success());
        let mut server = postgres(uid);
        server.arg("-D").arg(data.join("data")).args(["-c", "listen_addresses=", "-c", "log_connections=on"]);
        server.args(["-c", "unix_socket_directories=../socket"]);
        // The path may be too long for a socket address, so the impostor reaches the folder through
        // a link that only it uses.
        symlink(socket, data.join("socket")).unwrap();
        let log = data.join("log");
        server.stderr(fs::File::create(&log).unwrap());
        let server = Running(server.spawn().unwrap());
        wait_until_ready(&log);
        Self { _server: server, folder: Temporary(data) }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap()
    }
}

/// A folder that is removed after its test.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is stopped after its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

//! A private database as older versions made it.
//!
//! Its extension was created in single-user mode, and its pages have no checksums.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgrecall_harness::postgres;
use pgrecall_harness::programs::{NOBODY, is_root};

/// Returns the folder of the Postgres programs with which private databases are made.
pub(crate) fn bin() -> PathBuf {
    postgres::runtime().postgres().bin
}

/// Runs one of these programs as the user of the server, and returns its output.
pub(crate) fn as_server(program: &str, arguments: &[&str], script: &str) -> String {
    let quoted = arguments.iter().map(|argument| format!("'{argument}'")).collect::<Vec<_>>().join(" ");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("printf '%s' '{script}' | '{}/{program}' {quoted} 2>&1", bin().display())]);
    shell.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
    if is_root() {
        shell.uid(NOBODY).gid(NOBODY);
    }
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// Runs one of these programs as the current user, and returns its output.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(bin().join(program)).args(arguments).env_clear().env("LC_ALL", "C").output().unwrap();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {complained}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes the data folder of an old home, and fills it from a backup. Its server is stopped
/// afterwards.
pub(crate) fn make(home: &Path, backup: &Path) {
    let data = home.join("postgres");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let data = data.to_str().unwrap();
    as_server("initdb", &["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"], "");
    let made = "CREATE EXTENSION IF NOT EXISTS vector;\nCREATE DATABASE pgrecall;\n";
    as_server("postgres", &["--single", "-D", data, "-c", "exit_on_error=on", "-c", "fsync=off", "template1"], made);
    let options = format!("-k {data} -c listen_addresses= -c fsync=off");
    as_server("pg_ctl", &["start", "-w", "-s", "-D", data, "-o", &options, "-l", &format!("{data}/log")], "");
    let dsn = format!("host={data} user=postgres dbname=pgrecall");
    let roles = ["pgrecall_owner", "pgrecall_server", "pgrecall_worker"].map(|role| format!("CREATE ROLE {role};"));
    tool("psql", &["-qd", &dsn, "-c", &roles.concat()]);
    tool("pg_restore", &["--single-transaction", "--exit-on-error", "-d", &dsn, backup.to_str().unwrap()]);
    // The last object ids are those of a table and its type, as in a database whose last new object
    // was a space's table.
    tool("psql", &["-qd", &dsn, "-c", "CREATE TABLE public.made_last AS SELECT 'kept' AS note"]);
    let id =
        tool("psql", &["-Atqd", &dsn, "-c", "SELECT oid::int8 < 16384 FROM pg_extension WHERE extname = 'vector'"]);
    assert_eq!(id, "t\n", "single-user mode gives it an id of the range that pg_dump leaves out");
    let list = tool("pg_dump", &["--schema-only", "-d", &dsn]);
    assert!(!list.contains("CREATE EXTENSION"), "the old defect, which the repair is for");
    as_server("pg_ctl", &["stop", "-w", "-s", "-D", data], "");
}

/// The server of a private database that an older program has left running.
pub(crate) struct Served(PathBuf);

impl Served {
    pub(crate) fn start(home: &Path) -> Self {
        let (data, socket) = (home.join("postgres"), home.join("socket"));
        std::fs::create_dir(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&socket, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let options = format!("-k {} -c listen_addresses=", socket.display());
        let (folder, log) = (data.to_str().unwrap(), data.join("log"));
        as_server("pg_ctl", &["start", "-w", "-s", "-D", folder, "-o", &options, "-l", log.to_str().unwrap()], "");
        Self(data)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The last program that used the server has stopped it already, unless that failed.
        let mut stop = Command::new(bin().join("pg_ctl"));
        stop.args(["stop", "-w", "-s", "-m", "immediate", "-D"]).arg(&self.0);
        if is_root() {
            stop.uid(NOBODY).gid(NOBODY);
        }
        stop.stderr(std::process::Stdio::null()).status().ok();
    }
}

//! A PgBouncer in front of the tests' Postgres, on a socket of its own.

use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use crate::programs::{self, NOBODY, Program};
use crate::{postgres, wait};

/// A running PgBouncer, which ends when this is dropped.
pub struct PgBouncer {
    folder: PathBuf,
    program: Option<Program>,
}

impl PgBouncer {
    /// Starts a PgBouncer with pool mode `mode`: `transaction` or `session`.
    pub fn start(mode: &str) -> Self {
        let folder = programs::folder("pgbouncer");
        let shown = folder.display();
        // In transaction mode there are fewer server connections than clients, so a statement that
        // relies on a connection of its own fails. A worker may use a dozen sessions.
        let pool_size = if mode == "session" { 12 } else { 4 };
        let settings = format!(
            "[databases]\n* = host={} user=postgres\n[pgbouncer]\nunix_socket_dir = {shown}\nlisten_port = 5432\nlisten_addr =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {pool_size}\nserver_idle_timeout = 5\n",
            postgres::directory().display(),
        );
        let file = folder.join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("the folder can be written to");
        let mut command = Command::new("pgbouncer");
        command.arg(&file).env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin");
        let user = programs::is_root().then_some(NOBODY);
        if user.is_some() {
            chown(&folder, user, user).expect("root may");
        }
        let program = Program::start(&command, folder.join("said"), user);
        let bouncer = Self { folder, program: Some(program) };
        wait::until("PgBouncer takes connections", || {
            UnixStream::connect(bouncer.folder.join(".s.PGSQL.5432")).is_ok()
        });
        bouncer
    }

    /// Returns the DSN of the same database through PgBouncer.
    pub fn dsn(&self, direct: &str) -> String {
        direct.replace(&postgres::directory().display().to_string(), &self.folder.display().to_string())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.program.take());
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

//! The files of one private Postgres: their places, their owner, and the address of the server.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::{
    EmbeddedError,
    account::{self, Account},
    process,
};
use crate::PostgresInstall;
use pgrecall_postgres::dsn::{Dsn, DsnError, proven::Private, quote};
use pgrecall_process::nofollow::{self, Folder};
use pgrecall_record::hash;

/// The database's name.
pub(super) const DATABASE: &str = "pgrecall";
/// The superuser's name.
pub(super) const SUPERUSER: &str = "postgres";
/// The port. It only forms the last part of the socket's file name.
pub(super) const PORT: &str = "5432";

/// The log's file name in the home, and that of the rotated log.
pub(super) const LOG: &str = "postgres.log";
pub(super) const OLD_LOG: &str = "postgres.log.1";

/// The maximum length of the socket's folder. A Unix socket address holds 107 bytes on Linux and
/// 103 on macOS, including the file's name.
const SOCKET_FOLDER_BYTES: usize = 103 - "/.s.PGSQL.5432".len();

/// A private Postgres: its folders, its programs, its user.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// The home, as an absolute path without links.
    pub(super) home: PathBuf,
    /// The data folder, owned by the server's user.
    pub(super) data: PathBuf,
    /// The folder of the socket. No other user can enter it, so connections need no password.
    pub(super) socket: PathBuf,
    /// The file with the server's messages.
    pub(super) log: PathBuf,
    /// The Postgres that serves the data.
    pub(super) postgres: PostgresInstall,
    /// The user that the server runs as, unless it is the user of this process.
    pub(super) account: Option<Account>,
}

impl Cluster {
    /// Returns the cluster in the folder `home`, which is created if it is missing.
    pub(super) fn at(home: &Path, postgres: PostgresInstall) -> Result<Self, EmbeddedError> {
        if !postgres.bin.join("postgres").is_file() {
            return Err(EmbeddedError::NotInstalled { bin: postgres.bin });
        }
        create_home(home)?;
        let home = fs::canonicalize(home).map_err(EmbeddedError::at("read", home))?;
        let data = home.join("postgres");
        let account = account::for_server(&home, &data)?;
        let uid = account.as_ref().map_or_else(nofollow::effective_uid, |account| account.uid);
        let socket = socket_folder(&home, uid);
        Ok(Self { data, socket, log: home.join(LOG), postgres, account, home })
    }

    pub(super) fn start_lock(&self) -> PathBuf {
        self.home.join("start.lock")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.home.join("users.lock")
    }

    /// Returns the DSN, with `host` as the folder of the socket.
    pub(super) fn dsn(&self, host: &str) -> String {
        format!("host={} port={PORT} user={SUPERUSER} dbname={DATABASE}", quote(host))
    }

    /// Returns the address for connections of this program, which verify that the server is this
    /// cluster's before they send anything. Only programs that this one starts use `host`, the
    /// folder of the socket.
    pub(super) fn address(&self, host: &str) -> Dsn {
        let dsn = Dsn::parse(&self.dsn(host)).expect("the DSN is written by this module");
        let server = self.account.as_ref().map_or_else(nofollow::effective_uid, |account| account.uid);
        let (own, data) = (self.socket.clone(), self.data.clone());
        dsn.on(Private::new(server, PORT, move || {
            // A server that an older version started can have its socket in another folder.
            let running = process::running(&data);
            let recorded = running.and_then(|_| process::recorded_socket_folder(&data)).filter(|folder| *folder != own);
            [own.clone()].into_iter().chain(recorded).collect()
        }))
    }

    /// Returns the folder of the socket as other programs on this machine must name it. The path is
    /// valid for as long as `home` is open.
    pub(super) fn host(&self, home: &Folder) -> String {
        if self.has_fitting_socket_folder() {
            return self.socket.to_str().expect("it fits, and is UTF-8").to_owned();
        }
        home.shared_path_to("socket").display().to_string()
    }

    /// Returns the folder of the socket as the server must name it: a long path is given relative
    /// to the data folder, which is the server's working folder.
    pub(super) fn server_socket_folder(&self) -> &str {
        match self.socket.to_str() {
            Some(folder) if self.has_fitting_socket_folder() => folder,
            _ => "../socket",
        }
    }

    /// Returns a command for a program of the install, run as the server's user. The command
    /// inherits nothing, because a server that it starts may outlive this process: no environment
    /// variables, no terminal (a Ctrl-C must not reach it), and no pipes of this process's
    /// protocol.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.postgres.bin.join(program));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(account) = &self.account {
            command.gid(account.gid).uid(account.uid);
        }
        command
    }

    /// Checks that the server's user can reach the home and the programs, and that the programs
    /// start.
    pub(super) fn check_reach(&self) -> Result<(), EmbeddedError> {
        // Permission bits can be wrong in both directions (access lists, namespaces), so a trial
        // run decides, and the bits only determine which folder the error names. The program
        // changes to the home after it has changed its user.
        let broken = |detail| EmbeddedError::Broken { path: self.postgres.bin.join("postgres"), detail };
        let error = match self.command("postgres").arg("--version").stderr(Stdio::piped()).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => return Err(broken(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Err(error) => error,
        };
        let Some(account) = self.account.as_ref().filter(|_| error.kind() == io::ErrorKind::PermissionDenied) else {
            return Err(broken(error.to_string()));
        };
        let folder = [&self.home, &self.postgres.bin].into_iter().find_map(|path| account.barrier(path));
        Err(EmbeddedError::OutOfReach {
            user: account.name.clone(),
            folder: folder.unwrap_or_else(|| self.home.clone()),
        })
    }

    /// Creates the folder of the socket, or verifies that the existing one is private.
    pub(super) fn prepare_socket_folder(&self) -> Result<(), EmbeddedError> {
        match account::create_private_folder(&self.socket, self.account.as_ref()) {
            Err(EmbeddedError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
        let foreign = || EmbeddedError::from(DsnError::ForeignFolder(self.socket.clone()));
        let folder = match Folder::open_real(&self.socket) {
            Err(error) if nofollow::Unsafe::of(&error).is_some() => return Err(foreign()),
            opened => opened.map_err(EmbeddedError::at("open", &self.socket))?,
        };
        let meta = folder.metadata().map_err(EmbeddedError::at("read", &self.socket))?;
        let server = self.account.as_ref().map_or_else(nofollow::effective_uid, |account| account.uid);
        // A folder that root owns was left by a start that was interrupted before it changed the
        // owner. Create it again.
        if meta.uid() == nofollow::effective_uid() && meta.uid() != server {
            fs::remove_dir(&self.socket).map_err(EmbeddedError::at("remove", &self.socket))?;
            return account::create_private_folder(&self.socket, self.account.as_ref());
        }
        folder.must_be_private(|owner| owner == server).map_err(|_| foreign())
    }

    /// Whether the path of the socket fits into an address and into a DSN.
    fn has_fitting_socket_folder(&self) -> bool {
        fits(self.socket.as_os_str())
    }

    /// Whether the socket's folder is outside the home.
    pub(super) fn has_short_socket_folder(&self) -> bool {
        !self.socket.starts_with(&self.home)
    }

    /// Returns the free bytes on the disk that holds the home, for users other than root.
    pub(super) fn free_bytes(&self) -> Result<u64, EmbeddedError> {
        let disk =
            rustix::fs::statvfs(&self.home).map_err(io::Error::from).map_err(EmbeddedError::at("read", &self.home))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Creates the home. A user's home is private; in root's home, the server's user can reach its own
/// folders.
fn create_home(home: &Path) -> Result<(), EmbeddedError> {
    if home.is_dir() {
        return Ok(());
    }
    nofollow::create_folders(home, nofollow::home_mode()).map_err(EmbeddedError::at("create", home))
}

/// Returns the folder for the socket, which is normally in the home. If the system cannot reach a
/// socket through a folder's descriptor and the path does not fit into an address, it is a short
/// path that depends only on the home and the server's user, so that all processes compute the same
/// one whatever their environment.
fn socket_folder(home: &Path, uid: u32) -> PathBuf {
    let folder = home.join("socket");
    if cfg!(target_os = "linux") || fits(folder.as_os_str()) {
        return folder;
    }
    let hash = hash::hex(&Sha256::digest(home.as_os_str().as_bytes())[..8]);
    PathBuf::from(format!("/tmp/pgrecall-{uid}-{hash}"))
}

fn fits(folder: &OsStr) -> bool {
    // A comma separates hosts in a DSN, and control characters cannot appear in a server's own
    // files.
    let unfit = |char: char| char == ',' || char.is_control();
    folder.len() <= SOCKET_FOLDER_BYTES && folder.to_str().is_some_and(|folder| !folder.contains(unfit))
}

/// Quotes one entry of a server setting that is a list of names.
pub(super) fn quote_entry(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_os = "linux"))]
    #[test]
    fn a_short_home_holds_its_socket_and_a_long_one_does_not() {
        let short = Path::new("/home/a b/it's");
        assert_eq!(socket_folder(short, 7), short.join("socket"));
        for odd in ["x".repeat(100), "a,b".to_owned(), "a\nb".to_owned()] {
            let home = Path::new("/home").join(odd);
            let folder = socket_folder(&home, 7);
            assert!(folder.starts_with("/tmp") && folder.as_os_str().len() < 50, "{}", folder.display());
            assert_eq!(folder, socket_folder(&home, 7));
            assert_ne!(folder, socket_folder(&home.join("x"), 7));
            assert_ne!(folder, socket_folder(&home, 8));
        }
    }

    #[test]
    fn any_folder_survives_the_way_through_a_dsn() {
        for host in ["/a b/c", r"/it's/a\b", "/\"q\"", "/ümlaut"] {
            let config: tokio_postgres::Config = format!("host={} port=1", quote(host)).parse().unwrap();
            assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix(host.into())]);
        }
    }
}

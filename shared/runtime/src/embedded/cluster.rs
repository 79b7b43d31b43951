//! One private Postgres as files: where its parts lie, whom they belong to, how to reach it.

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
use pgrecall_postgres::dsn::{Dsn, DsnError, proven::Private};
use pgrecall_process::nofollow::{self, Folder};
use pgrecall_record::hash;

/// The database in it.
pub(super) const DATABASE: &str = "pgrecall";
/// Its superuser.
pub(super) const SUPERUSER: &str = "postgres";
/// A name more than a number: it is the last part of the socket's file name.
pub(super) const PORT: &str = "5432";

/// The log's name in the home, and that of the log before.
pub(super) const LOG: &str = "postgres.log";
pub(super) const OLD_LOG: &str = "postgres.log.1";

/// The address of a Unix socket holds 107 bytes on Linux and 103 on macOS, of which the file's name takes 15.
const SOCKET_FOLDER_BYTES: usize = 103 - "/.s.PGSQL.5432".len();

/// A private Postgres: its folder, its programs, its user.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// The home, as an absolute path without links.
    pub(super) home: PathBuf,
    /// The data folder, owned by the server's user.
    pub(super) data: PathBuf,
    /// The folder of the socket. Nobody else can enter it, so whoever gets here may connect without a password.
    pub(super) socket: PathBuf,
    /// Where the server's messages go.
    pub(super) log: PathBuf,
    /// The programs.
    pub(super) postgres: PostgresInstall,
    /// Whom the server runs as, unless it is the user of this process.
    pub(super) account: Option<Account>,
}

impl Cluster {
    /// The cluster in the folder `home`, which is created if it is missing.
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

    /// How to connect, through `host` as the folder of the socket.
    pub(super) fn dsn(&self, host: &str) -> String {
        format!("host={} port={PORT} user={SUPERUSER} dbname={DATABASE}", quote(host))
    }

    /// How this program connects: to a server that is proven to be this cluster's before anything is sent to it. Only programs that this one
    /// starts use `host`, the folder of the socket.
    pub(super) fn address(&self, host: &str) -> Dsn {
        let dsn = Dsn::parse(&self.dsn(host)).expect("the DSN is written by this module");
        let server = self.account.as_ref().map_or_else(nofollow::effective_uid, |account| account.uid);
        let (own, data) = (self.socket.clone(), self.data.clone());
        dsn.on(Private::new(server, PORT, move || {
            // A server that an older version started can have its socket elsewhere.
            let running = process::recorded(&data).filter(|pid| process::is_postgres(*pid, &data));
            let recorded = running.and_then(|_| process::recorded_socket_folder(&data)).filter(|folder| *folder != own);
            [own.clone()].into_iter().chain(recorded).collect()
        }))
    }

    /// The folder of the socket as other programs of this machine have to name it. It leads there for as long as `home` is open.
    pub(super) fn host(&self, home: &Folder) -> String {
        if self.has_fitting_socket_folder() {
            return self.socket.to_str().expect("it fits, and is UTF-8").to_owned();
        }
        home.shared_path_to("socket").display().to_string()
    }

    /// The folder of the socket as the server has to name it: a long one by its way from the data folder, in which the server works.
    pub(super) fn server_socket_folder(&self) -> &str {
        match self.socket.to_str() {
            Some(folder) if self.has_fitting_socket_folder() => folder,
            _ => "../socket",
        }
    }

    /// A program of the install, as the server's user. It starts from a clean slate, since what it starts may serve
    /// other processes long after this one: no variables, no terminal (a Ctrl-C there must not reach it), and none of
    /// the pipes that carry this process's protocol.
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

    /// Makes sure that the server's user can get to the home and to the programs, and that those start.
    pub(super) fn check_reach(&self) -> Result<(), EmbeddedError> {
        // The permission bits can be wrong either way (access lists, namespaces), so trying it out decides, and they
        // only say which folder to name. The program changes to the home after it has changed its user.
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

    /// Creates the folder of the socket, or makes sure that the one that exists is private.
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
        // Root's own was left by a start that was interrupted before it gave the folder away, and it is made again.
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

    /// Whether the socket's folder is not in the home.
    pub(super) fn has_short_socket_folder(&self) -> bool {
        !self.socket.starts_with(&self.home)
    }

    /// Says how much is free on the disk that holds the home, for users other than root.
    pub(super) fn free_bytes(&self) -> Result<u64, EmbeddedError> {
        let disk =
            rustix::fs::statvfs(&self.home).map_err(io::Error::from).map_err(EmbeddedError::at("read", &self.home))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Creates the home. A user's is private; root's lets the server's user through to its own folders in it.
fn create_home(home: &Path) -> Result<(), EmbeddedError> {
    if home.is_dir() {
        return Ok(());
    }
    nofollow::create_folders(home, nofollow::home_mode()).map_err(EmbeddedError::at("create", home))
}

/// The folder for the socket, which is in the home. Where a socket cannot be reached through its folder's descriptor, and its path does
/// not fit into an address, it is a short one, which depends on nothing but the home and the server's user, so that all processes agree
/// on it whatever their environment.
fn socket_folder(home: &Path, uid: u32) -> PathBuf {
    let folder = home.join("socket");
    if cfg!(target_os = "linux") || fits(folder.as_os_str()) {
        return folder;
    }
    let hash = hash::hex(&Sha256::digest(home.as_os_str().as_bytes())[..8]);
    PathBuf::from(format!("/tmp/pgrecall-{uid}-{hash}"))
}

fn fits(folder: &OsStr) -> bool {
    // In a DSN a comma ends the host; control characters cannot stand in a server's own files.
    let unfit = |char: char| char == ',' || char.is_control();
    folder.len() <= SOCKET_FOLDER_BYTES && folder.to_str().is_some_and(|folder| !folder.contains(unfit))
}

/// A value of a DSN in quotes.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// One entry of a server setting that is a list of names.
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

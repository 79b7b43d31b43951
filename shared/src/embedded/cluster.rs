//! One private Postgres as files: where its parts lie, whom they belong to, how to reach it.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::{
    EmbeddedError,
    account::{self, Account},
};
use crate::runtime::PostgresInstall;

/// The database in it.
pub(super) const DATABASE: &str = "pgrecall";
/// Its superuser.
pub(super) const SUPERUSER: &str = "postgres";
/// A name more than a number: it is the last part of the socket's file name.
pub(super) const PORT: &str = "5432";

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
        let uid = match &account {
            Some(account) => account.uid,
            None => account::effective_uid()?,
        };
        let socket = socket_folder(&home, uid);
        Ok(Self { data, socket, log: home.join("postgres.log"), postgres, account, home })
    }

    pub(super) fn start_lock(&self) -> PathBuf {
        self.home.join("start.lock")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.home.join("users.lock")
    }

    /// How to connect.
    pub(super) fn dsn(&self) -> String {
        let host = self.socket.to_str().expect("a socket folder is chosen to be UTF-8");
        format!("host={} port={PORT} user={SUPERUSER} dbname={DATABASE}", quote(host))
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

    /// Makes sure that the server's user can get to the home and to the programs.
    pub(super) fn check_reach(&self) -> Result<(), EmbeddedError> {
        let Some(account) = &self.account else { return Ok(()) };
        // The permission bits can be wrong either way (access lists, namespaces), so trying it out decides, and they
        // only say which folder to name. The program changes to the home after it has changed its user.
        let Err(error) = self.command("postgres").arg("--version").status() else { return Ok(()) };
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(EmbeddedError::at("run", &self.postgres.bin.join("postgres"))(error));
        }
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
        // The short folder is in a place where anyone may create one, so one that is not exactly ours is refused, and
        // so is a link, of which this reads the link itself.
        let meta = fs::symlink_metadata(&self.socket).map_err(EmbeddedError::at("read", &self.socket))?;
        let own = account::effective_uid()?;
        let server = self.account.as_ref().map_or(own, |account| account.uid);
        if !meta.is_dir() || meta.mode() & 0o077 != 0 || ![own, server].contains(&meta.uid()) {
            return Err(EmbeddedError::SocketFolder { path: self.socket.clone() });
        }
        match &self.account {
            // Root was interrupted between creating the folder and giving it away.
            Some(account) if meta.uid() != server => {
                std::os::unix::fs::lchown(&self.socket, Some(account.uid), Some(account.gid))
                    .map_err(EmbeddedError::at("change the owner of", &self.socket))
            }
            _ => Ok(()),
        }
    }

    /// Whether the socket's folder is not in the home.
    pub(super) fn has_short_socket_folder(&self) -> bool {
        !self.socket.starts_with(&self.home)
    }
}

/// Creates the home. A user's is private; root's lets the server's user through to its own folders in it.
fn create_home(home: &Path) -> Result<(), EmbeddedError> {
    if home.is_dir() {
        return Ok(());
    }
    let mode = if account::effective_uid()? == 0 { 0o755 } else { 0o700 };
    let new: Vec<&Path> = home.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(home).map_err(EmbeddedError::at("create", home))?;
    // Once more, since the umask may have taken bits away.
    for folder in new {
        fs::set_permissions(folder, Permissions::from_mode(mode))
            .map_err(EmbeddedError::at("set the mode of", folder))?;
    }
    Ok(())
}

/// The folder for the socket: in the home where its path fits into a socket's address and into a DSN, or else a short
/// one, which depends on nothing but the home and the server's user, so that all processes agree on it whatever their
/// environment.
fn socket_folder(home: &Path, uid: u32) -> PathBuf {
    let folder = home.join("socket");
    if fits(folder.as_os_str()) {
        return folder;
    }
    let hash: String =
        Sha256::digest(home.as_os_str().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
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

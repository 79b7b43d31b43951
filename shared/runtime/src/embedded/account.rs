//! The user that Postgres runs as. Postgres refuses to run as root.
//!
//! For an ordinary user, Postgres runs as that user. For root, it runs as the owner of the data; a
//! new database goes to the owner of the home, or to the first user of `UNPRIVILEGED` that exists.
//! Users are looked up in `/etc/passwd`.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::EmbeddedError;
use pgrecall_process::nofollow::{Folder, Owner, effective_uid, split};

/// Users for root's Postgres, in order of preference: a user of our own first, then users that
/// other programs may run as too. Every program that runs as that user can read the data, and
/// Postgres trusts it.
const UNPRIVILEGED: [&str; 3] = ["pgrecall", "postgres", "nobody"];

/// A user and its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Returns the account that Postgres must be started with; `None` for this process's own.
pub(super) fn for_server(home: &Path, data: &Path) -> Result<Option<Account>, EmbeddedError> {
    let own = effective_uid();
    let home_owner = fs::metadata(home).map_err(EmbeddedError::at("read", home))?.uid();
    let data_owner = match fs::symlink_metadata(data) {
        // The server's processes work in the link's target, and `process::is_postgres` would not
        // recognize them.
        Ok(meta) if meta.is_symlink() => return Err(EmbeddedError::LinkedData { data: data.to_owned() }),
        Ok(meta) => Some(meta.uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(EmbeddedError::at("read", data)(error)),
    };
    if own != 0 {
        return match data_owner {
            Some(uid) if uid != own => {
                // Root's data belongs to a service account that people do not know, so the error
                // names root.
                let owner = if home_owner == 0 { 0 } else { uid };
                Err(EmbeddedError::OtherOwner { home: home.to_owned(), owner: by_uid(owner).name })
            }
            _ => Ok(None),
        };
    }
    if let Some(uid) = data_owner.into_iter().chain([home_owner]).find(|uid| *uid != 0) {
        refuse_replaceable(home, uid)?;
        return Ok(Some(by_uid(uid)));
    }
    let users = users();
    UNPRIVILEGED
        .iter()
        .find_map(|name| users.iter().find(|user| user.name == *name && user.uid != 0))
        .map(|user| Some(user.clone()))
        .ok_or(EmbeddedError::NoAccount)
}

/// Refuses data of the ordinary user `uid` if another user could have replaced the home: `uid` may
/// then be an attacker who put their own home in its place, and root would write every text into
/// it. Data of a service account is accepted, because root put it there.
fn refuse_replaceable(home: &Path, uid: u32) -> Result<(), EmbeddedError> {
    let accounts = users().into_iter().filter(|user| UNPRIVILEGED.contains(&user.name.as_str()));
    let trusted: Vec<u32> = accounts.map(|user| user.uid).chain([0]).collect();
    if trusted.contains(&uid) {
        return Ok(());
    }
    match replaceable(home, &trusted, Some(uid)) {
        Some(folder) => Err(EmbeddedError::ReplaceableHome { home: home.to_owned(), folder }),
        None => Ok(()),
    }
}

/// Returns the lowest folder on the path to `path`, itself included, that belongs to a user who is
/// not `trusted`, or in which such a user can rename entries. Folders of `owner` do not count. A
/// folder whose metadata cannot be read does.
pub(crate) fn replaceable(path: &Path, trusted: &[u32], owner: Option<u32>) -> Option<PathBuf> {
    let is_replaceable = |folder: &&Path| {
        let Ok(meta) = fs::metadata(folder) else { return true };
        // With the common umask 002, a user's own group may write to all files of that user. That
        // group usually has no other member, so it does not count.
        let is_open_to_group = meta.mode() & 0o020 != 0 && meta.gid() != by_uid(meta.uid()).gid;
        let is_open = (is_open_to_group || meta.mode() & 0o002 != 0) && meta.mode() & 0o1000 == 0;
        Some(meta.uid()) != owner && (is_open || !trusted.contains(&meta.uid()))
    };
    path.ancestors().find(is_replaceable).map(Path::to_owned)
}

/// Creates the folder `path`, accessible to `account` only.
pub(super) fn create_private_folder(path: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let owner = account.map(|account| Owner { uid: account.uid, gid: account.gid });
    let created = split(path).and_then(|(parent, name)| Folder::open(&parent)?.create_private(name, owner));
    created.map(drop).map_err(EmbeddedError::at("create", path))
}

impl Account {
    /// Returns the topmost folder on the path to `path`, itself included, that this account may not
    /// enter according to the permission bits.
    pub(super) fn barrier(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|folder| fs::metadata(folder).is_ok_and(|meta| !self.may_enter(meta.mode(), meta.uid(), meta.gid())))
            .map(Path::to_owned)
    }

    fn may_enter(&self, mode: u32, uid: u32, gid: u32) -> bool {
        let bit = match () {
            () if uid == self.uid => 0o100,
            () if gid == self.gid => 0o010,
            () => 0o001,
        };
        mode & bit != 0
    }
}

fn users() -> Vec<Account> {
    parse_passwd(&fs::read_to_string("/etc/passwd").unwrap_or_default())
}

/// Returns the user with this number. A user without a name on this system gets the group with the
/// same number.
pub(crate) fn by_uid(uid: u32) -> Account {
    let user = users().into_iter().find(|user| user.uid == uid);
    user.unwrap_or_else(|| Account { name: format!("user {uid}"), uid, gid: uid })
}

/// Parses lines of the form `name:password:uid:gid:…`, and skips the others.
fn parse_passwd(text: &str) -> Vec<Account> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account { name, uid, gid })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_passwd_lines() {
        let users = parse_passwd("root:x:0:0:root:/root:/bin/sh\n# a comment\nbad:x:y:1\npostgres:x:101:104::/:\n");
        assert_eq!(users.len(), 2);
        assert_eq!(users[1], Account { name: "postgres".to_owned(), uid: 101, gid: 104 });
    }

    #[test]
    fn only_the_first_class_that_fits_counts() {
        let account = Account { name: "a".to_owned(), uid: 5, gid: 6 };
        assert!(account.may_enter(0o100, 5, 6));
        assert!(!account.may_enter(0o011, 5, 6), "the owner is not helped by the others' bits");
        assert!(account.may_enter(0o010, 1, 6));
        assert!(!account.may_enter(0o770, 1, 1));
        assert!(account.may_enter(0o001, 1, 1));
    }
}

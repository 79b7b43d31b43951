//! The user that Postgres runs as, which is not root: Postgres refuses that.
//!
//! An ordinary user's Postgres runs as that user. Root's runs as whoever owns the data; a new database goes to the owner
//! of the home, or to the system's `postgres` or `nobody`. Users are looked up in `/etc/passwd`.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::EmbeddedError;
use pgrecall_process::nofollow::{Folder, Owner, effective_uid, split};

/// Users for root's Postgres, the best first: one of its own, then one that other programs may run as too. Whoever runs as that user can
/// read the data, and Postgres trusts them.
const UNPRIVILEGED: [&str; 3] = ["pgrecall", "postgres", "nobody"];

/// A user and its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The account that Postgres must be started with, `None` for this process's own.
pub(super) fn for_server(home: &Path, data: &Path) -> Result<Option<Account>, EmbeddedError> {
    let own = effective_uid();
    let home_owner = fs::metadata(home).map_err(EmbeddedError::at("read", home))?.uid();
    let data_owner = match fs::symlink_metadata(data) {
        // Its processes work in the folder that it leads to, and would not be recognized.
        Ok(meta) if meta.is_symlink() => return Err(EmbeddedError::LinkedData { data: data.to_owned() }),
        Ok(meta) => Some(meta.uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(EmbeddedError::at("read", data)(error)),
    };
    if own != 0 {
        return match data_owner {
            Some(uid) if uid != own => {
                // Root's data belongs to a user that people do not know as theirs.
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

/// Refuses data of the user `uid`, in the place of whose home that user could have put a home of their own: root would tell that user
/// everything. Data of an account for servers was put there by root.
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

/// The lowest folder on the way to `path`, itself included, that belongs to a user who is not `trusted`, or in which such a user can
/// rename entries. Folders of `owner` do not count. A folder whose state cannot be read does.
pub(crate) fn replaceable(path: &Path, trusted: &[u32], owner: Option<u32>) -> Option<PathBuf> {
    let is_replaceable = |folder: &&Path| {
        let Ok(meta) = fs::metadata(folder) else { return true };
        // With a umask of 002, which is common, a user's own group may write to everything of that user. Often nobody else is in it.
        let is_open_to_group = meta.mode() & 0o020 != 0 && meta.gid() != by_uid(meta.uid()).gid;
        let is_open = (is_open_to_group || meta.mode() & 0o002 != 0) && meta.mode() & 0o1000 == 0;
        Some(meta.uid()) != owner && (is_open || !trusted.contains(&meta.uid()))
    };
    path.ancestors().find(is_replaceable).map(Path::to_owned)
}

/// Creates the folder `path` for `account` alone.
pub(super) fn create_private_folder(path: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let owner = account.map(|account| Owner { uid: account.uid, gid: account.gid });
    let created = split(path).and_then(|(parent, name)| Folder::open(&parent)?.create_private(name, owner));
    created.map(drop).map_err(EmbeddedError::at("create", path))
}

impl Account {
    /// The topmost folder on the way to `path`, itself included, that this account may not enter as far as the
    /// permission bits tell.
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

/// A user that has no name on this system gets the group with its own number.
pub(crate) fn by_uid(uid: u32) -> Account {
    let user = users().into_iter().find(|user| user.uid == uid);
    user.unwrap_or_else(|| Account { name: format!("user {uid}"), uid, gid: uid })
}

/// Lines are `name:password:uid:gid:…`; what does not fit is left out.
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

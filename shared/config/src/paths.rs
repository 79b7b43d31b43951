//! The folders of pgrecall's files.

use std::path::PathBuf;

use super::Env;

/// The folders in use, all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Data that must survive, such as the embedded database.
    ///
    /// `PGRECALL_HOME`, else `/var/lib/pgrecall` for root on Linux, else `pgrecall` in the user's
    /// data folder.
    pub home: PathBuf,
    /// Files that setup downloads, and can download again: Postgres and the model.
    ///
    /// `PGRECALL_RUNTIME`, else `runtime` in the home. Several homes can share one.
    pub runtime: PathBuf,
}

impl Paths {
    /// Derives the folders from the environment. `None`: the environment names no home folder.
    pub(super) fn from_env(env: Env<'_>, root: bool) -> Option<Self> {
        let folder = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let home = folder("PGRECALL_HOME").or_else(|| default_home(env, root)).map(absolute)?;
        let runtime = folder("PGRECALL_RUNTIME").map(absolute).unwrap_or_else(|| home.join("runtime"));
        Some(Self { home, runtime })
    }
}

fn default_home(env: Env<'_>, root: bool) -> Option<PathBuf> {
    // Postgres runs as an unprivileged user, who cannot enter root's own home.
    if root && cfg!(target_os = "linux") {
        return Some(PathBuf::from("/var/lib/pgrecall"));
    }
    let user = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let data = if cfg!(target_os = "macos") {
        user?.join("Library/Application Support")
    } else {
        let xdg = env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        xdg.or_else(|| Some(user?.join(".local/share")))?
    };
    Some(data.join("pgrecall"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(vars: &[(&str, &str)], root: bool) -> Option<Paths> {
        let env = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Paths::from_env(&env, root)
    }

    #[test]
    fn named_folders_win_and_become_absolute() {
        let paths =
            paths(&[("PGRECALL_HOME", "here"), ("PGRECALL_RUNTIME", "/opt/rt"), ("HOME", "/home/a")], true).unwrap();
        assert!(paths.home.is_absolute() && paths.home.ends_with("here"));
        assert_eq!(paths.runtime, PathBuf::from("/opt/rt"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_default_home_is_the_users_data_folder_or_var_lib_for_root() {
        let home = |vars, root| paths(vars, root).map(|paths| paths.home.display().to_string());
        assert_eq!(home(&[("HOME", "/home/a")], false).unwrap(), "/home/a/.local/share/pgrecall");
        assert_eq!(home(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")], false).unwrap(), "/data/pgrecall");
        assert_eq!(
            home(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")], false).unwrap(),
            "/home/a/.local/share/pgrecall"
        );
        assert_eq!(home(&[("HOME", "/root")], true).unwrap(), "/var/lib/pgrecall");
        assert_eq!(home(&[], false), None);
    }

    #[test]
    fn the_runtime_lies_in_the_home_unless_it_is_named() {
        let paths = paths(&[("PGRECALL_HOME", "/h")], false).unwrap();
        assert_eq!(paths.runtime, PathBuf::from("/h/runtime"));
    }
}

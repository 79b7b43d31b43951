//! The name of this program in what a person reads.
//!
//! After the quickstart the program is on no PATH, so a text that says "run `mcp-server setup`"
//! would not help. The texts name `mcp-server`, many of them in crates that know nothing of a
//! command line; here, where they are printed, that becomes the program as it was called.

use std::{
    borrow::Cow,
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The name in the texts.
const NAME: &str = "mcp-server";

static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let called = env::args_os().next().unwrap_or_default();
    let found = env::current_exe().ok();
    quoted(&path(&called, found))
});

/// Returns the program as a person can call it: its full path, quoted if a shell needs that.
pub(super) fn program() -> &'static str {
    &PROGRAM
}

/// Names the program in a text, wherever the text quotes a command line: `` `mcp-server … ``.
pub(super) fn named(text: &str) -> Cow<'_, str> {
    naming(text, program())
}

fn naming<'t>(text: &'t str, program: &str) -> Cow<'t, str> {
    if !text.contains("`mcp-server") {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.replace(&format!("`{NAME} "), &format!("`{program} "))
            .replace(&format!("`{NAME}`"), &format!("`{program}`")),
    )
}

/// Returns the full path of a program that was called by this name.
///
/// A path keeps its links: a person knows the link, and an update may move its target. A bare name
/// was found on the PATH, or names a shell's function; then the system knows the file.
fn path(called: &OsStr, found: Option<PathBuf>) -> PathBuf {
    let called = Path::new(called);
    let is_path = called.components().count() > 1;
    let absolute = is_path.then(|| std::path::absolute(called).ok()).flatten();
    absolute.or(found).unwrap_or_else(|| NAME.into())
}

/// Quotes a path for a shell, if it has characters that a shell would take for its own.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/-_.+,:@%".contains(c));
    if is_plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_in_a_text_names_the_program_as_it_was_called() {
        for (text, expected) in [
            ("run `mcp-server setup`", "run `/o/p setup`"),
            ("start `mcp-server` or `embed-worker`", "start `/o/p` or `embed-worker`"),
            ("`mcp-server a` and `mcp-server b`", "`/o/p a` and `/o/p b`"),
            ("mcp-server speaks MCP", "mcp-server speaks MCP"),
            ("the thread `mcp-server-1`", "the thread `mcp-server-1`"),
        ] {
            assert_eq!(naming(text, "/o/p"), expected);
        }
    }

    #[test]
    fn the_program_has_a_full_path_that_a_shell_can_read() {
        let found = || Some(PathBuf::from("/usr/bin/mcp-server"));
        assert_eq!(path(OsStr::new("/a/link"), found()), Path::new("/a/link"));
        assert_eq!(path(OsStr::new("./target/p"), None), env::current_dir().unwrap().join("target/p"));
        assert_eq!(path(OsStr::new("mcp-server"), found()), Path::new("/usr/bin/mcp-server"));
        assert_eq!(path(OsStr::new(""), None), Path::new("mcp-server"));
        for (path, shell) in [("/a/b-c_1.2", "/a/b-c_1.2"), ("/a b/c", "'/a b/c'"), ("/it's", r"'/it'\''s'")] {
            assert_eq!(quoted(Path::new(path)), shell);
        }
    }
}

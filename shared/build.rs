//! What `--version` says: the version and, where the builder names it in `PGRECALL_REVISION`, the revision.

#![expect(clippy::disallowed_methods, reason = "a build script reads the environment that cargo gives it")]

fn main() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let version = variable("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match variable("PGRECALL_REVISION") {
        Some(revision) => format!("{version} ({revision})"),
        None => version,
    };
    println!("cargo::rustc-env=PGRECALL_VERSION={version}");
    println!("cargo::rerun-if-env-changed=PGRECALL_REVISION");
}

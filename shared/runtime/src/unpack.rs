//! Unpacks a wheel, which is a zip archive, with Python's own library: pip needs Python anyway.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
};

use super::{RuntimeError, pip};

/// Unpacks the files of `wheel` that match `wanted` into the folder `to`.
pub(super) fn unpack(python: &Path, wheel: &Path, wanted: &[&str], to: &Path) -> Result<(), RuntimeError> {
    let output = pip::command(python)
        .args(["-I", "-c", include_str!("unpack.py")])
        .args([wheel, to])
        .args(wanted)
        .stdin(Stdio::null())
        .output()
        .map_err(RuntimeError::at("run", python))?;
    if output.status.success() {
        return Ok(());
    }
    if let Ok(errno @ 1..) = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>() {
        return Err(RuntimeError::at("unpack to", to)(io::Error::from_raw_os_error(errno)));
    }
    Err(RuntimeError::Unpack {
        package: wheel.display().to_string(),
        detail: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Makes everything in `folder` readable for all users, whatever the umask.
pub(super) fn make_all_readable(folder: &Path) -> Result<(), RuntimeError> {
    for entry in fs::read_dir(folder).map_err(RuntimeError::at("read", folder))? {
        let path = entry.map_err(RuntimeError::at("read", folder))?.path();
        if path.is_dir() {
            make_all_readable(&path)?;
        } else {
            make_readable(&path, is_executable(&path)?)?;
        }
    }
    make_readable(folder, true)
}

/// Sets the mode that files of a runtime have, whatever the umask: 0755 for programs and folders,
/// 0644 for the rest.
fn make_readable(path: &Path, executable: bool) -> Result<(), RuntimeError> {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(RuntimeError::at("set the mode of", path))
}

fn is_executable(path: &Path) -> Result<bool, RuntimeError> {
    let meta = fs::metadata(path).map_err(RuntimeError::at("read", path))?;
    Ok(meta.permissions().mode() & 0o111 != 0)
}

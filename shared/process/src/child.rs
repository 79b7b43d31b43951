//! Child processes.

use std::process::Child;

/// A process that is killed when this value is dropped, so that it never outlives its parent.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail only if the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

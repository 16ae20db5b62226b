//! Letting go of everything that came with the process.
#![allow(unsafe_code)] // close_range, which rustix does not have: it closes descriptors that other code may own.

/// Closes every descriptor but the three standard ones, whatever the process was started with.
///
/// Call it first in a process: nothing of this program may have opened anything yet.
pub(super) fn close_inherited() {
    // SAFETY: called before the process has opened anything itself, so no open descriptor belongs to any code in it.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            0 as libc::c_uint,
        );
    }
}

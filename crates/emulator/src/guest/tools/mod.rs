//! Commands in a guest's `/usr` that are this executable: what a guest needs and the host lacks, or has only for systemd.

mod cloud_init;
mod shutdown;
mod sudo;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use super::host::GuestMode;
use super::init::Why;
use super::sys;

/// The host's own sudo, which guests use where it exists.
pub const HOST_SUDO: &str = "/usr/bin/sudo";
/// Where the program lies in a guest.
pub const PROGRAM: &str = "/usr/lib/qib-guest/tool";

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Runs a command as another user.
    Sudo,
    /// Ends the guest, by default after a minute.
    Shutdown,
    /// Ends the guest.
    PowerOff,
    /// Ends the guest.
    Halt,
    /// Restarts the guest.
    Reboot,
    /// Tells how far the built-in boot agent is.
    CloudInit,
}

impl Tool {
    const ALL: [Tool; 6] = [
        Tool::Sudo,
        Tool::Shutdown,
        Tool::PowerOff,
        Tool::Halt,
        Tool::Reboot,
        Tool::CloudInit,
    ];

    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Sudo => "sudo",
            Tool::Shutdown => "shutdown",
            Tool::PowerOff => "poweroff",
            Tool::Halt => "halt",
            Tool::Reboot => "reboot",
            Tool::CloudInit => "cloud-init",
        }
    }

    /// The folder below `/usr` where it is looked for.
    pub fn folder(self) -> &'static str {
        match self {
            Tool::Sudo | Tool::CloudInit => "bin",
            Tool::Shutdown | Tool::PowerOff | Tool::Halt | Tool::Reboot => "sbin",
        }
    }
}

/// The commands that every guest on this host gets from us.
pub fn for_all_guests(mode: GuestMode) -> Vec<Tool> {
    Tool::ALL
        .into_iter()
        .filter(|tool| match tool {
            // The host's would insist on being set-user-ID root, which it is not in a rootless guest.
            Tool::Sudo => mode == GuestMode::Rootless || !Path::new(HOST_SUDO).exists(),
            Tool::CloudInit => false,
            Tool::Shutdown | Tool::PowerOff | Tool::Halt | Tool::Reboot => true,
        })
        .collect()
}

/// The commands of a guest with the built-in boot agent. They hide the host's cloud-init, which knows nothing of that agent.
pub fn for_built_in_agent() -> Vec<Tool> {
    vec![Tool::CloudInit]
}

/// Whether this process is the program that lies in a guest's `/usr`.
pub fn is_tool_program() -> bool {
    std::fs::read_link("/proc/self/exe").is_ok_and(|path| path == Path::new(PROGRAM))
}

/// Runs the tool called `name`. With set-user-ID powers nothing but sudo keeps them.
pub fn main(name: &OsStr) -> ! {
    let tool = Tool::ALL
        .into_iter()
        .find(|tool| Path::new(name).file_name() == Some(OsStr::new(tool.name())));
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let code = match tool {
        Some(Tool::Sudo) => sudo::main(&arguments),
        Some(tool) => match sys::drop_set_user_id_powers() {
            Ok(()) => without_powers(tool, &arguments),
            Err(error) => complain(tool.name(), &format!("cannot give up root: {error}"), 1),
        },
        None => complain(
            "qib-guest",
            &format!("{} is not one of its names", name.display()),
            2,
        ),
    };
    sys::exit_now(code)
}

fn without_powers(tool: Tool, arguments: &[std::ffi::OsString]) -> i32 {
    match tool {
        Tool::CloudInit => cloud_init::main(arguments),
        Tool::Shutdown => shutdown::shutdown(arguments),
        Tool::Reboot => shutdown::at_once(tool, Why::Reboot, arguments),
        Tool::PowerOff | Tool::Halt => shutdown::at_once(tool, Why::PowerOff, arguments),
        Tool::Sudo => complain("sudo", "needs its powers", 1),
    }
}

/// Says what went wrong and gives the exit code.
fn complain(tool: &str, text: &str, code: i32) -> i32 {
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{tool}: {text}");
    code
}

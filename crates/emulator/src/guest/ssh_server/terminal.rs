//! Pseudo-terminals.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use russh::Pty;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
};

use crate::guest::accounts::Account;
use crate::guest::host::GuestMode;
use crate::guest::sys;

/// What a client asks of its terminal.
#[derive(Clone, Debug)]
pub struct TerminalRequest {
    /// `TERM`.
    pub kind: String,
    /// Width in characters.
    pub columns: u16,
    /// Height in characters.
    pub rows: u16,
    /// Encoded terminal modes, RFC 4254 section 8.
    pub modes: Vec<(Pty, u32)>,
}

/// Both sides of a terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The server's side, non-blocking.
    pub master: OwnedFd,
    /// The session's side.
    pub slave: OwnedFd,
    /// Its path in the guest.
    pub path: PathBuf,
}

/// Opens a terminal that belongs to the user.
///
/// # Errors
/// If the guest's devpts gives none, for example because the limit of terminals is reached.
pub fn open(request: &TerminalRequest, account: &Account, mode: GuestMode) -> io::Result<Terminal> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let slave = rustix::fs::open(
        &path,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut settings = rustix::termios::tcgetattr(&slave)?;
    apply(&mut settings, &request.modes);
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings)?;
    sys::set_terminal_size(&slave, request.columns, request.rows)?;
    if mode == GuestMode::Root {
        // devpts gives it the group `tty`.
        chown(&path, Some(account.user), None)?;
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o620))?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok(Terminal {
        master,
        slave,
        path,
    })
}

/// One flag of a terminal.
enum Flag {
    Input(InputModes),
    Output(OutputModes),
    Local(LocalModes),
    Control(ControlModes),
    Character(SpecialCodeIndex),
}

fn flag(mode: Pty) -> Option<Flag> {
    use Flag::{Character, Control, Input, Local, Output};
    Some(match mode {
        Pty::VINTR => Character(SpecialCodeIndex::VINTR),
        Pty::VQUIT => Character(SpecialCodeIndex::VQUIT),
        Pty::VERASE => Character(SpecialCodeIndex::VERASE),
        Pty::VKILL => Character(SpecialCodeIndex::VKILL),
        Pty::VEOF => Character(SpecialCodeIndex::VEOF),
        Pty::VEOL => Character(SpecialCodeIndex::VEOL),
        Pty::VEOL2 => Character(SpecialCodeIndex::VEOL2),
        Pty::VSTART => Character(SpecialCodeIndex::VSTART),
        Pty::VSTOP => Character(SpecialCodeIndex::VSTOP),
        Pty::VSUSP => Character(SpecialCodeIndex::VSUSP),
        Pty::VREPRINT => Character(SpecialCodeIndex::VREPRINT),
        Pty::VWERASE => Character(SpecialCodeIndex::VWERASE),
        Pty::VLNEXT => Character(SpecialCodeIndex::VLNEXT),
        Pty::VDISCARD => Character(SpecialCodeIndex::VDISCARD),
        Pty::IGNPAR => Input(InputModes::IGNPAR),
        Pty::PARMRK => Input(InputModes::PARMRK),
        Pty::INPCK => Input(InputModes::INPCK),
        Pty::ISTRIP => Input(InputModes::ISTRIP),
        Pty::INLCR => Input(InputModes::INLCR),
        Pty::IGNCR => Input(InputModes::IGNCR),
        Pty::ICRNL => Input(InputModes::ICRNL),
        Pty::IUCLC => Input(InputModes::IUCLC),
        Pty::IXON => Input(InputModes::IXON),
        Pty::IXANY => Input(InputModes::IXANY),
        Pty::IXOFF => Input(InputModes::IXOFF),
        Pty::IMAXBEL => Input(InputModes::IMAXBEL),
        Pty::IUTF8 => Input(InputModes::IUTF8),
        Pty::ISIG => Local(LocalModes::ISIG),
        Pty::ICANON => Local(LocalModes::ICANON),
        Pty::XCASE => Local(LocalModes::XCASE),
        Pty::ECHO => Local(LocalModes::ECHO),
        Pty::ECHOE => Local(LocalModes::ECHOE),
        Pty::ECHOK => Local(LocalModes::ECHOK),
        Pty::ECHONL => Local(LocalModes::ECHONL),
        Pty::NOFLSH => Local(LocalModes::NOFLSH),
        Pty::TOSTOP => Local(LocalModes::TOSTOP),
        Pty::IEXTEN => Local(LocalModes::IEXTEN),
        Pty::ECHOCTL => Local(LocalModes::ECHOCTL),
        Pty::ECHOKE => Local(LocalModes::ECHOKE),
        Pty::PENDIN => Local(LocalModes::PENDIN),
        Pty::OPOST => Output(OutputModes::OPOST),
        Pty::OLCUC => Output(OutputModes::OLCUC),
        Pty::ONLCR => Output(OutputModes::ONLCR),
        Pty::OCRNL => Output(OutputModes::OCRNL),
        Pty::ONOCR => Output(OutputModes::ONOCR),
        Pty::ONLRET => Output(OutputModes::ONLRET),
        Pty::CS7 => Control(ControlModes::CS7),
        Pty::CS8 => Control(ControlModes::CS8),
        Pty::PARENB => Control(ControlModes::PARENB),
        Pty::PARODD => Control(ControlModes::PARODD),
        // Baud rates, and characters that Linux does not have.
        _ => return None,
    })
}

fn apply(settings: &mut Termios, modes: &[(Pty, u32)]) {
    for (mode, value) in modes {
        let on = *value != 0;
        match flag(*mode) {
            Some(Flag::Input(bits)) => settings.input_modes.set(bits, on),
            Some(Flag::Output(bits)) => settings.output_modes.set(bits, on),
            Some(Flag::Local(bits)) => settings.local_modes.set(bits, on),
            Some(Flag::Control(bits)) => settings.control_modes.set(bits, on),
            // 255 means that the character is disabled, which is 0 on Linux.
            Some(Flag::Character(index)) => {
                settings.special_codes[index] =
                    u8::try_from(*value).ok().filter(|c| *c != 255).unwrap_or(0);
            }
            None => {}
        }
    }
}

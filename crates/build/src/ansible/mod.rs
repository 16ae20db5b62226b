//! Running playbooks: from this machine over a guest's own connection, and inside a guest.
//!
//! ```text
//!   from_here   private folder ─▶ proxy of the connection ─▶ [ansible-galaxy] ─▶ ansible-playbook ─▶ both gone
//!   inside      private folder in the guest ─▶ uploads ─▶ [ansible-galaxy] ─▶ ansible-playbook ─▶ folder gone
//! ```
//!
//! No secret stands on a command line: extra variables travel in a file that only its owner can read, and the key to the
//! proxy is made for one playbook and worth nothing after it.

mod call;
mod end;
mod folder;
pub mod from_here;
pub mod inside;
mod inventory;

pub use end::{AnsibleError, PlaybookEnd};
pub(crate) use folder::FOLDER;
pub use folder::PrivateFolder;

//! Voucher objects: what a message says about its work, as something that queues and threads can hold (dispatch 2).
//!
//! A [`Voucher`] stands for a kernel voucher and an activity. The thread that holds one works on behalf of whoever sent
//! it; a boost that came with it lasts until the last holder is gone.
//!
//! | file | content |
//! |---|---|
//! | `current.rs` | the calling thread's voucher: [`copy`], [`adopt`], [`VoucherScope`] |
//! | `message.rs` | vouchers in messages: [`attach`], [`from_message`], [`mach_msg_adopt`] |
//! | `derive.rs` | vouchers made from others: the default one, without importance, with another persona |
//! | `recipes.rs` | the recipes of all of them |
//! | `table.rs` | [`Vouchers`]: all objects of a task, by name |
//! | `name.rs` | [`OwnedSend`], [`BorrowedSend`] |

mod current;
mod derive;
mod message;
mod name;
pub(crate) mod recipes;
mod table;

pub use current::{VoucherScope, adopt, copy, copy_without_importance, is_current, replace};
pub use derive::{InvalidPersona, accounting_only, decrement_importance_count, replace_default, with_persona};
pub use message::detach as mach_msg_clear;
pub use message::{Attachment, MsgState, attach, detach, from_message, mach_msg_adopt, mach_msg_revert, mach_msg_set};
pub use name::{BorrowedSend, OwnedSend};
pub use table::Vouchers;

use crate::activity::Identity;
use crate::process::Process;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, Ordering};
use abi::PortName;
use abi::port::MACH_PORT_NULL;
use core::fmt;

/// A voucher object (dispatch 2.2). It never changes, but that its name for messages is found out by its first send.
pub struct Voucher {
    process: &'static Process,
    /// The kernel voucher without the activity: what the thread adopts.
    kernel: KernelVoucher,
    /// The name of the kernel voucher with the activity: what goes into messages. 0 as long as it is not known. If it
    /// is the same as that of `kernel`, the object has only one reference to it.
    for_messages: AtomicU32,
    identity: Identity,
    has_importance: bool,
}

/// Who keeps the name of a kernel voucher alive.
enum KernelVoucher {
    /// There is none.
    None,
    /// The object.
    Owned(OwnedSend),
    /// Another object, which this one holds instead.
    Lent { by: Arc<Voucher>, name: PortName },
}

impl KernelVoucher {
    fn name(&self) -> PortName {
        match self {
            KernelVoucher::None => MACH_PORT_NULL,
            KernelVoucher::Owned(owned) => owned.name(),
            KernelVoucher::Lent { name, .. } => *name,
        }
    }
}

/// What an item or a message does to the voucher of the thread that takes it on (dispatch 2.3).
#[derive(Clone, Default)]
pub enum Capture {
    /// The thread keeps its voucher.
    #[default]
    Keep,
    /// The thread has none from then on.
    Clear,
    /// The thread has this one from then on.
    Set(Arc<Voucher>),
}

impl From<Option<Arc<Voucher>>> for Capture {
    fn from(voucher: Option<Arc<Voucher>>) -> Capture {
        voucher.map_or(Capture::Clear, Capture::Set)
    }
}

impl Capture {
    /// Returns what work takes along that the calling thread submits.
    pub fn current() -> Capture {
        Capture::from(copy())
    }
}

impl Voucher {
    /// Returns an object that holds nothing yet but an activity.
    fn new(process: &'static Process, kernel: KernelVoucher, identity: Identity, has_importance: bool) -> Voucher {
        process.vouchers.born();
        Voucher { process, kernel, for_messages: AtomicU32::new(0), identity, has_importance }
    }

    /// Returns a copy of this object with another activity, or without one. The copy borrows the kernel voucher, so it
    /// keeps a boost alive just as the object does (dispatch V-14). Without a kernel voucher nothing but the activity
    /// is left.
    pub(crate) fn with_identity(base: &Arc<Voucher>, identity: Identity) -> Voucher {
        let kernel = match &base.kernel {
            KernelVoucher::None => KernelVoucher::None,
            KernelVoucher::Owned(owned) => KernelVoucher::Lent { by: base.clone(), name: owned.name() },
            KernelVoucher::Lent { by, name } => KernelVoucher::Lent { by: by.clone(), name: *name },
        };
        Voucher::new(base.process, kernel, identity, base.has_importance)
    }

    /// Returns an object with an activity alone.
    pub(crate) fn of_identity(process: &'static Process, identity: Identity) -> Voucher {
        Voucher::new(process, KernelVoucher::None, identity, false)
    }

    /// Returns the name of the kernel voucher that a thread adopts with this object; null if it has none
    /// (`v_kvoucher`).
    pub fn kernel_name(&self) -> PortName {
        self.kernel.name()
    }

    /// Returns the name of the kernel voucher that goes with messages (`v_ipc_kvoucher`); null if it is not known yet.
    pub fn message_name(&self) -> PortName {
        PortName(self.for_messages.load(Ordering::Acquire))
    }

    /// Returns the activity, and who created it (dispatch 3).
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns true if the kernel voucher contains an importance value (`v_kv_has_importance`).
    pub fn has_importance(&self) -> bool {
        self.has_importance
    }

    /// Returns the name by which the voucher is shown: that which threads adopt, if there is one.
    pub(crate) fn shown_name(&self) -> PortName {
        match self.kernel_name() {
            MACH_PORT_NULL => self.message_name(),
            name => name,
        }
    }

    /// Returns the name with all attributes, for deriving others: that for messages if it is known.
    pub(crate) fn full_name(&self) -> PortName {
        match self.message_name() {
            MACH_PORT_NULL => self.kernel_name(),
            name => name,
        }
    }

    /// Returns true if both names are known and the same: the table finds the object by its kernel voucher.
    fn has_one_name(&self) -> bool {
        self.message_name() == self.kernel_name()
    }
}

impl Drop for Voucher {
    /// Leaves the table, then gives the names up, then what lent them (dispatch 2.10).
    fn drop(&mut self) {
        let name = self.message_name();
        if name != MACH_PORT_NULL {
            self.process.vouchers.leave(name, self);
            if !self.has_one_name() {
                self.process.kernel.release_send(name);
            }
        }
        self.process.vouchers.died();
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voucher")
            .field("kernel", &self.kernel_name())
            .field("for_messages", &self.message_name())
            .field("identity", &self.identity)
            .field("has_importance", &self.has_importance)
            .finish()
    }
}

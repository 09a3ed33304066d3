//! The functions of vouchers. A voucher has one handle, however often the program gets it.

use crate::crash;
use crate::memory::Message;
use crate::table::Table;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use dispatch::sync::Mutex;
use dispatch::voucher::{self, Attachment, MsgState, Voucher};

/// The vouchers that the program holds.
struct Held {
    table: Table<Arc<Voucher>>,
    /// Their handles, by the addresses of the objects.
    handles: BTreeMap<usize, usize>,
    /// What was put into messages, by their addresses.
    attachments: BTreeMap<usize, Attachment>,
}

static HELD: Mutex<Held> =
    Mutex::new(Held { table: Table::new(), handles: BTreeMap::new(), attachments: BTreeMap::new() });

/// `VOUCHER_MACH_MSG_STATE_UNCHANGED`.
const UNCHANGED: usize = usize::MAX;

fn unknown() -> ! {
    crash("a voucher was used that does not exist or has been released")
}

/// Returns the handle of a voucher with a reference for the program; 0 for none.
fn give(voucher: Option<Arc<Voucher>>) -> usize {
    let Some(voucher) = voucher else { return 0 };
    let address = Arc::as_ptr(&voucher).addr();
    let mut held = HELD.lock();
    match held.handles.get(&address).copied() {
        Some(handle) => {
            let retained = held.table.retain(handle);
            drop(held);
            drop(voucher);
            retained.unwrap_or_else(|| unknown());
            handle
        }
        None => {
            let handle = held.table.insert(voucher);
            held.handles.insert(address, handle);
            handle
        }
    }
}

/// Takes a reference from the program, and returns the voucher; `None` for 0.
fn take(handle: usize) -> Option<Arc<Voucher>> {
    if handle == 0 {
        return None;
    }
    let mut held = HELD.lock();
    let found = held.table.get(handle);
    let released = held.table.release(handle).flatten();
    if let Some(last) = &released {
        held.handles.remove(&Arc::as_ptr(last).addr());
    }
    drop(held);
    Some(found.unwrap_or_else(|| unknown()))
}

#[unsafe(no_mangle)]
extern "C" fn voucher_copy() -> usize {
    give(voucher::copy())
}

#[unsafe(no_mangle)]
extern "C" fn voucher_copy_without_importance() -> usize {
    give(voucher::copy_without_importance())
}

#[unsafe(no_mangle)]
extern "C" fn voucher_retain(voucher: usize) -> usize {
    if voucher != 0 {
        let found = HELD.lock().table.retain(voucher);
        found.unwrap_or_else(|| unknown());
    }
    voucher
}

#[unsafe(no_mangle)]
extern "C" fn voucher_release(voucher: usize) {
    drop(take(voucher));
}

#[unsafe(no_mangle)]
extern "C" fn voucher_adopt(voucher: usize) -> usize {
    give(voucher::adopt(take(voucher)))
}

#[unsafe(no_mangle)]
extern "C" fn voucher_mach_msg_set(mut message: Message<'_>) -> bool {
    let address = message.address();
    let Some(header) = message.header() else { return false };
    let attachment = voucher::mach_msg_set(header);
    let is_set = attachment.is_set();
    if is_set {
        let former = HELD.lock().attachments.insert(address, attachment);
        drop(former);
    }
    is_set
}

#[unsafe(no_mangle)]
extern "C" fn voucher_mach_msg_clear(mut message: Message<'_>) {
    let attachment = HELD.lock().attachments.remove(&message.address());
    if let (Some(attachment), Some(header)) = (attachment, message.header()) {
        voucher::mach_msg_clear(header, attachment);
    }
}

#[unsafe(no_mangle)]
extern "C" fn voucher_mach_msg_adopt(mut message: Message<'_>) -> usize {
    let Some(header) = message.header() else { return UNCHANGED };
    match voucher::mach_msg_adopt(header) {
        MsgState::Unchanged => UNCHANGED,
        MsgState::Former(former) => give(former),
    }
}

#[unsafe(no_mangle)]
extern "C" fn voucher_mach_msg_revert(state: usize) {
    if state != UNCHANGED {
        voucher::mach_msg_revert(MsgState::Former(take(state)));
    }
}

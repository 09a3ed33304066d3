//! The calling thread's voucher (dispatch 2.4).

use super::{Capture, Voucher, derive};
use crate::process::same;
use crate::qos::Priority;
use crate::sync::Arc;
use crate::thread::{self, Nesting, exchange};

/// Returns the voucher of the calling thread (`voucher_copy`).
pub fn copy() -> Option<Arc<Voucher>> {
    thread::with(|context| context.voucher())
}

/// Gives the calling thread a voucher, or none, and returns the one that it had (`voucher_adopt`). There is a kernel
/// call only if the kernel voucher is another one.
///
/// The caller gives the thread back what it had. [`VoucherScope`] does that by itself.
#[must_use = "the thread's former voucher has to be adopted again"]
pub fn adopt(voucher: Option<Arc<Voucher>>) -> Option<Arc<Voucher>> {
    exchange(Priority::NONE, Capture::from(voucher))
}

/// Gives the calling thread a voucher, or none, in place of the one that it had.
pub fn replace(voucher: Option<Arc<Voucher>>) {
    drop(adopt(voucher));
}

/// Returns true if the calling thread has this very object, or neither has one: adopting it would change nothing.
pub fn is_current(voucher: Option<&Arc<Voucher>>) -> bool {
    same(copy().as_ref(), voucher)
}

/// Returns the calling thread's voucher without its importance (`voucher_copy_without_importance`, dispatch V-10). For
/// work that nobody waits for.
pub fn copy_without_importance() -> Option<Arc<Voucher>> {
    derive::without_importance(copy())
}

/// The calling thread has a voucher, or none, until this is dropped. Then it has its former one again.
#[must_use]
pub struct VoucherScope {
    former: Option<Arc<Voucher>>,
    nesting: Nesting,
}

impl VoucherScope {
    /// Gives the calling thread a voucher, or none.
    pub fn new(voucher: Option<Arc<Voucher>>) -> VoucherScope {
        VoucherScope { former: adopt(voucher), nesting: Nesting::new() }
    }
}

impl Drop for VoucherScope {
    fn drop(&mut self) {
        self.nesting.end();
        replace(self.former.take());
    }
}

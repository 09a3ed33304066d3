//! Vouchers in messages (dispatch 2.5, 2.6).

use super::derive::for_messages;
use super::recipes::{Recipe, all_of, create};
use super::{BorrowedSend, Capture, KernelVoucher, OwnedSend, Voucher, copy, replace};
use crate::activity::{Identity, UserData};
use crate::process::{Process, process};
use crate::qos::Priority;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::thread::exchange;
use abi::PortName;
use abi::message::{Header, HeaderFlags};
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::voucher::*;
use alloc::vec;
use zerocopy::{FromBytes, IntoBytes};

/// The field of the voucher's disposition in `msgh_bits`.
const VOUCHER_BITS: u32 = 0x001F_0000;

/// Whether [`attach`] has put a voucher into a header. It keeps the name alive until the message is sent.
#[must_use = "after the send, the header is restored with `detach`"]
pub struct Attachment {
    is_set: bool,
    /// The default voucher, which another thread may replace meanwhile.
    _default: Option<Arc<OwnedSend>>,
}

impl Attachment {
    /// The header has a voucher that somebody else put there, or none.
    const NOTHING: Attachment = Attachment { is_set: false, _default: None };

    /// Returns true if the header has a voucher that [`attach`] put there.
    pub fn is_set(&self) -> bool {
        self.is_set
    }
}

/// Puts a voucher into the header of a message that is about to be sent: that of the object, or without one the
/// process's default voucher. A header that has a voucher already stays as it is (dispatch 2.5).
///
/// The caller holds the object until the send is over, and then [detaches](detach) the voucher, whatever the result.
///
/// # Panics
/// If the message is shorter than a header.
pub fn attach(message: &mut [u8], voucher: Option<&Arc<Voucher>>) -> Attachment {
    let mut header = read(message);
    if header.voucher() != Disposition::NONE {
        return Attachment::NOTHING;
    }
    let mut default = None;
    let name = match voucher {
        Some(voucher) => voucher.name_for_messages(&mut default),
        None => default.insert(process().default_voucher()).lend(),
    };
    if name.name() == MACH_PORT_NULL {
        return Attachment::NOTHING;
    }
    header.msgh_voucher_port = name.name();
    header.msgh_bits = header.msgh_bits & !VOUCHER_BITS | u32::from(Disposition::COPY_SEND.0) << 16;
    write(message, &header);
    Attachment { is_set: true, _default: default }
}

/// Puts the calling thread's voucher into a header (`voucher_mach_msg_set`): see [`attach`].
///
/// # Panics
/// If the message is shorter than a header.
pub fn mach_msg_set(message: &mut [u8]) -> Attachment {
    attach(message, copy().as_ref())
}

/// Takes a voucher out of the header again that [`attach`] put there, after the send. If the kernel gave the right back
/// with the message, it is released (dispatch 2.5 step 4; also `voucher_mach_msg_clear`).
///
/// # Panics
/// If the message is shorter than a header.
pub fn detach(message: &mut [u8], attachment: Attachment) {
    if !attachment.is_set {
        return;
    }
    let mut header = read(message);
    if header.voucher() == Disposition::MOVE_SEND {
        drop(OwnedSend::new(process(), header.msgh_voucher_port));
    }
    header.msgh_voucher_port = MACH_PORT_NULL;
    header.msgh_bits &= !VOUCHER_BITS;
    write(message, &header);
}

impl Voucher {
    /// Returns the name that goes with messages; null if it cannot be made (dispatch 2.5 step 2). If that is the default
    /// voucher's, `default` keeps it alive.
    fn name_for_messages<'a>(self: &'a Arc<Voucher>, default: &'a mut Option<Arc<OwnedSend>>) -> BorrowedSend<'a> {
        if self.message_name() != MACH_PORT_NULL {
            return BorrowedSend::of(self.message_name(), self);
        }
        let base = match self.kernel_name() {
            MACH_PORT_NULL => default.insert(self.process.default_voucher()).lend(),
            name => BorrowedSend::of(name, self),
        };
        if self.identity.is_none() {
            return base;
        }
        self.make_name_for_messages(base);
        BorrowedSend::of(self.message_name(), self)
    }

    /// Makes the kernel voucher with the activity that goes with messages, as the first send does (R2, dispatch V-6).
    #[cold]
    fn make_name_for_messages(self: &Arc<Voucher>, base: BorrowedSend<'_>) {
        let activity = Recipe::new(MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE)
            .content(UserData::new(self.identity).as_bytes());
        let Ok(Some(made)) = create(self.process, &[all_of(base.name()), activity]) else {
            return;
        };
        let name = made.name();
        if self.for_messages.compare_exchange(0, name.0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        // The object owns one reference to each of its names; if both are the same, the new one is too many.
        if name != self.kernel_name() {
            made.into_name();
        }
        // An equal object may be in the table already, and stays there.
        drop(self.process.vouchers.enter(name, self));
    }
}

/// Takes the voucher out of the header of a received message, and returns its object; `None` if the message has none
/// (`voucher_create_with_mach_msg`, dispatch 2.6). From then on the header holds nothing: the object owns the right.
///
/// # Panics
/// If the message is shorter than a header.
pub fn from_message(message: &mut [u8]) -> Option<Arc<Voucher>> {
    let mut header = read(message);
    if header.voucher() == Disposition::NONE {
        return None;
    }
    let (name, has_importance) = (header.msgh_voucher_port, header.flags().contains(HeaderFlags::RAISEIMP));
    header.msgh_voucher_port = MACH_PORT_NULL;
    header.msgh_bits &= !(VOUCHER_BITS | HeaderFlags::RAISEIMP.bits());
    write(message, &header);
    let process = process();
    let received = OwnedSend::new(process, name)?;
    if let Some(present) = process.vouchers.find(name) {
        return Some(present);
    }
    match user_data(process, name) {
        None => Some(for_messages(process, received, Identity::NONE, has_importance)),
        Some(identity) => Some(stripped(process, received, identity, has_importance)),
    }
}

/// Returns the object of a received voucher with user data. It holds the voucher without them, so that objects with
/// other activities share it; the received name goes (dispatch 2.6 step 4).
fn stripped(process: &'static Process, received: OwnedSend, identity: Identity, has_importance: bool) -> Arc<Voucher> {
    let recipes = [
        all_of(received.name()),
        Recipe::new(MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_REMOVE),
        Recipe::new(MACH_VOUCHER_ATTR_KEY_PTHPRIORITY, MACH_VOUCHER_ATTR_REMOVE),
    ];
    let kernel = match create(process, &recipes) {
        Err(_) => return for_messages(process, received, identity, has_importance),
        Ok(None) => KernelVoucher::None,
        Ok(Some(name)) => match process.vouchers.find(name.name()) {
            Some(by) => KernelVoucher::Lent { name: name.name(), by },
            None => KernelVoucher::Owned(name),
        },
    };
    Arc::new(Voucher::new(process, kernel, identity, has_importance))
}

/// Returns the activity in the user data of a voucher; `None` if it has no user data, or too few to be looked at
/// (dispatch 3.2). Any others are none of the library's and go too.
fn user_data(process: &'static Process, name: PortName) -> Option<Identity> {
    const HEADER: usize = size_of::<RecipeHeader>();
    let key = MACH_VOUCHER_ATTR_KEY_USER_DATA;
    let mut short = [0; HEADER + UserData::SIZE];
    if let Ok(size) = process.kernel.extract(name, key, &mut short) {
        return UserData::identity(short.get(HEADER..size)?);
    }
    let mut long = vec![0; MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE];
    let size = process.kernel.extract(name, key, &mut long).ok()?;
    UserData::identity(long.get(HEADER..size)?)
}

/// What [`mach_msg_adopt`] has changed, for [`mach_msg_revert`].
#[must_use = "the thread's former voucher has to be restored"]
pub enum MsgState {
    /// The message had no voucher, so the thread kept its own.
    Unchanged,
    /// The thread had this voucher, or none.
    Former(Option<Arc<Voucher>>),
}

/// Gives the calling thread the voucher of a received message. A message without one leaves the thread's as it is, in
/// contrast to a channel's messages (dispatch 2.6).
///
/// # Panics
/// If the message is shorter than a header.
pub fn mach_msg_adopt(message: &mut [u8]) -> MsgState {
    if read(message).voucher() == Disposition::NONE {
        return MsgState::Unchanged;
    }
    let voucher = from_message(message);
    MsgState::Former(exchange(Priority::NONE, Capture::from(voucher)))
}

/// Gives the calling thread back what it had before [`mach_msg_adopt`].
pub fn mach_msg_revert(state: MsgState) {
    if let MsgState::Former(former) = state {
        replace(former);
    }
}

fn read(message: &[u8]) -> Header {
    Header::read_from_prefix(message).expect("a message has a header").0
}

fn write(message: &mut [u8], header: &Header) {
    header.write_to_prefix(message).expect("a message has a header");
}

//! Vouchers (vouchers 4).

use crate::buffer;
use crate::message::{Call, Message, call_object, call_server};
use crate::port::Port;
use crate::sys::{trap, unix_trap};
use crate::view::View;
use abi::code::*;
use abi::message::{Header, HeaderFlags, msgh_bits};
use abi::mig::{self, NDR, REPLY_ID_OFFSET, mach_host, thread_act};
use abi::policy::{BSDTHREAD_CTL_SET_SELF, SET_SELF_VOUCHER};
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::trap::mach::*;
use abi::trap::unix::BSDTHREAD_CTL;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use alloc::vec::Vec;
use zerocopy::{Immutable, IntoBytes};

/// A recipe with a content of `N` bytes.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C, packed)]
pub struct Recipe<const N: usize> {
    /// Key, command, previous voucher and the size of the content.
    pub header: RecipeHeader,
    /// The content.
    pub content: [u8; N],
}

impl<const N: usize> Recipe<N> {
    /// Returns a recipe.
    pub const fn new(key: u32, command: u32, previous: PortName, content: [u8; N]) -> Recipe<N> {
        let header = RecipeHeader { key, command, previous_voucher: previous.0, content_size: N as u32 };
        Recipe { header, content }
    }

    /// Returns a recipe that stores a content.
    pub const fn store(key: u32, content: [u8; N]) -> Recipe<N> {
        Recipe::new(key, MACH_VOUCHER_ATTR_USER_DATA_STORE, PortName(0), content)
    }
}

/// Returns a name of the host. Each call adds a reference to it.
pub fn host() -> PortName {
    PortName(trap(HOST_SELF, [0; 6]) as u32)
}

/// The recipe of a voucher whose holder pays for what others do with it. Its holder is the task that sends it.
pub const PAID_BY_SENDER: Recipe<0> =
    Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, MACH_PORT_NULL, []);

/// Creates a voucher from recipes, by the trap.
///
/// # Errors
/// Those of the trap.
pub fn create(host: PortName, recipes: &[u8]) -> Result<PortName, KernReturn> {
    let mut name = 0u32;
    let result = (&raw mut name) as u64;
    let arguments = [u64::from(host.0), recipes.as_ptr() as u64, recipes.len() as u64, result, 0, 0];
    KernReturn(trap(HOST_CREATE_MACH_VOUCHER, arguments) as i32).ok().map(|()| PortName(name))
}

/// Creates a voucher from recipes, whose size is a multiple of 4, by message.
///
/// # Errors
/// Those of the call.
pub fn create_by_message(host: PortName, recipes: &[u8]) -> Result<PortName, KernReturn> {
    let request = Message::copy_send(host).id(mach_host::CREATE_MACH_VOUCHER).bytes(&NDR);
    Ok(call_server(request.words(&[recipes.len() as u32]).bytes(recipes))?.descriptor(0).name)
}

/// Makes the trap that extracts an attribute as a recipe, with any addresses.
///
/// # Errors
/// Those of the trap.
pub fn extract_at(voucher: PortName, key: u32, recipe: u64, size: u64) -> Result<(), KernReturn> {
    let arguments = [u64::from(voucher.0), u64::from(key), recipe, size, 0, 0];
    KernReturn(trap(MACH_VOUCHER_EXTRACT_ATTR_RECIPE, arguments) as i32).ok()
}

/// Extracts an attribute as a recipe into a buffer, and returns its size.
///
/// # Errors
/// Those of the trap.
pub fn extract(voucher: PortName, key: u32, buffer: &mut [u8]) -> Result<usize, KernReturn> {
    let mut size = buffer.len() as u32;
    extract_at(voucher, key, buffer.as_mut_ptr() as u64, (&raw mut size) as u64)?;
    Ok(size as usize)
}

/// Lets the running thread adopt the voucher of a name, or none with the null name. From then on the account of the
/// voucher, if it has one, pays for the thread.
///
/// # Errors
/// The error number of the call.
pub fn adopt(voucher: PortName) -> Result<(), u64> {
    let arguments = [BSDTHREAD_CTL_SET_SELF, 0, voucher.0, SET_SELF_VOUCHER];
    unix_trap(BSDTHREAD_CTL, arguments.map(u64::from)).map(|_| ())
}

/// Lets a thread adopt a voucher, or none.
///
/// # Errors
/// Those of the call.
pub fn set_of_thread(thread: PortName, voucher: PortName) -> Result<(), KernReturn> {
    let request = Message::copy_send(thread).id(thread_act::SET_MACH_VOUCHER).port(voucher, Disposition::COPY_SEND);
    call_server(request).map(|_| ())
}

/// Returns a name of the voucher that a thread has adopted, or null.
///
/// # Errors
/// Those of the call.
pub fn of_thread(thread: PortName) -> Result<PortName, KernReturn> {
    Ok(call_object(thread, thread_act::GET_MACH_VOUCHER, &[0])?.descriptor(0).name)
}

/// Gives a command about an attribute of a voucher to its manager: `mach_voucher_attr_command`. Returns the size of the
/// answer, which is at the beginning of `output`.
///
/// # Errors
/// Those of the call; those of `mach_msg`; `MIG_REPLY_MISMATCH` and `MIG_TYPE_ERROR` if the reply is none.
pub fn command(
    voucher: PortName,
    key: u32,
    command: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, KernReturn> {
    const ID: i32 = mig::mach_voucher::ATTR_COMMAND;
    let reply = Port::reply()?;
    let bits = msgh_bits(Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE, Disposition::NONE, HeaderFlags::empty());
    let (msgh_remote_port, msgh_local_port) = (voucher, reply.name());
    let header = Header { msgh_bits: bits, msgh_remote_port, msgh_local_port, msgh_id: ID, ..Header::default() };
    let mut buffer = Vec::with_capacity(ROOM_BESIDE + input.len().max(output.len()));
    buffer.extend_from_slice(header.as_bytes());
    buffer.extend_from_slice(&NDR);
    buffer.extend_from_slice([key, command, input.len() as u32].as_bytes());
    buffer.extend_from_slice(input);
    buffer.resize(buffer.len().next_multiple_of(4), 0);
    buffer.extend_from_slice((output.len() as u32).as_bytes());
    let size = buffer.len();
    buffer.resize(buffer.capacity(), 0);
    let call = Call { receive_name: reply.name(), ..Call::default() };
    buffer::send_and_receive(&mut buffer, size, &call).code.ok()?;
    let view = View::of(&buffer).ok_or(MIG_TYPE_ERROR)?;
    if view.header().msgh_id != ID + REPLY_ID_OFFSET {
        return Err(MIG_REPLY_MISMATCH);
    }
    KernReturn(view.word(2).ok_or(MIG_TYPE_ERROR)? as i32).ok()?;
    let length = view.word(3).ok_or(MIG_TYPE_ERROR)? as usize;
    let answer = view.body().get(ARRAY..).and_then(|array| array.get(..length)).ok_or(MIG_TYPE_ERROR)?;
    output.get_mut(..length).ok_or(KERN_NO_SPACE)?.copy_from_slice(answer);
    Ok(length)
}

/// Where an array begins in a reply's body: behind NDR, code and length.
const ARRAY: usize = 16;

/// Bytes that a request or a reply has at most besides its array: header, fixed arguments, padding and trailer.
const ROOM_BESIDE: usize = 128;

/// Reserves 16 consecutive activity ids and returns the first.
///
/// # Errors
/// Those of `mach_generate_activity_id`.
pub fn generate_activity_ids() -> Result<u64, KernReturn> {
    let mut first = 0u64;
    let arguments = [0, MACH_ACTIVITY_ID_COUNT_MAX as u64, (&raw mut first) as u64, 0, 0, 0];
    KernReturn(trap(MACH_GENERATE_ACTIVITY_ID, arguments) as i32).ok().map(|()| first)
}

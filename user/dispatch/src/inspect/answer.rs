//! Answers to debuggers: requests in the form of MIG, which anyone may send who has the port.

use super::walk;
use crate::mach::{MachMsg, send_reply};
use crate::process::Process;
use abi::KernReturn;
use abi::code::{KERN_SUCCESS, MIG_BAD_ARGUMENTS, MIG_BAD_ID};
use abi::debugger::*;
use abi::message::Header;
use abi::mig::NDR;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The size of a request.
const REQUEST_SIZE: usize = Header::SIZE + NDR.len() + size_of::<Cursor>();

/// Answers a message that came through the port for debuggers, and gives back all that the message brought. Runs no code of
/// the program, looks at a bounded number of things, and waits for nobody.
pub(crate) fn answer(process: &Process, mut message: MachMsg) {
    let cursor = cursor_of(&message);
    let id = message.id();
    if let Some(reply) = message.take_reply() {
        send_reply(match (id, cursor) {
            (QUEUES | HOLDERS, None) => reply.bytes(&refusal(MIG_BAD_ARGUMENTS)),
            (QUEUES, Some(cursor)) => with_records(reply, walk::queues(process, cursor)),
            (HOLDERS, Some(cursor)) => with_records(reply, walk::holders(process, cursor)),
            _ => reply.bytes(&refusal(MIG_BAD_ID)),
        });
    }
    message.destroy();
}

/// Returns the cursor of a request. None if the request has another form.
fn cursor_of(message: &MachMsg) -> Option<Cursor> {
    let view = message.view().filter(|view| !view.is_complex() && message.size() == REQUEST_SIZE)?;
    Cursor::read_from_bytes(&view.body()[NDR.len()..]).ok()
}

fn refusal(code: KernReturn) -> [u8; NDR.len() + 4] {
    let mut bytes = [0; NDR.len() + 4];
    bytes[..NDR.len()].copy_from_slice(&NDR);
    bytes[NDR.len()..].copy_from_slice(&code.0.to_le_bytes());
    bytes
}

fn with_records<R: IntoBytes + Immutable>(reply: MachMsg, (records, next): (alloc::vec::Vec<R>, Cursor)) -> MachMsg {
    let page = Page { next, count: records.len() as u64 };
    reply.bytes(&refusal(KERN_SUCCESS)).bytes(page.as_bytes()).bytes(records.as_bytes())
}

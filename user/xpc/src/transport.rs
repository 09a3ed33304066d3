//! Dictionaries and check-ins as Mach messages (dispatch ).

use crate::owned::{self, OwnedReceive, OwnedSend, OwnedSendOnce};
use crate::wire::{self, Descriptor, XPC_MESSAGE_CHECK_IN, XPC_MESSAGE_REPLY, XPC_MESSAGE_REQUEST};
use crate::{Dictionary, SendRight};
use abi::PortName;
use abi::port::Disposition;
use alloc::vec::Vec;
use dispatch::mach::MachMsg;
use dispatch::process::process;
use runtime::view;

/// Who sent a message, by the word of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub euid: u32,
    /// Its effective group.
    pub egid: u32,
}

impl Sender {
    pub(crate) fn of(message: &MachMsg) -> Sender {
        let trailer = message.trailer();
        let audit = trailer.msgh_audit;
        Sender { euid: audit[1], egid: audit[2], pid: audit[5] }
    }
}

/// Returns the message with a dictionary. Dictionaries that are nested too deep end the program.
fn message(id: i32, dictionary: &Dictionary) -> MachMsg {
    /// Bytes of a small dictionary. Most are, and their bytes come a few at a time.
    const SMALL: usize = 160;
    let mut body = Vec::with_capacity(SMALL);
    let Ok(rights) = wire::encode(dictionary, &mut body) else {
        process().kernel.crash("a dictionary to be sent is nested too deep");
    };
    let message = rights.iter().fold(MachMsg::new(id), |message, right| {
        // The message owns its rights, so that they live until it leaves.
        message.port(OwnedSend::copy_of(right.name()).into_name(), Disposition::MOVE_SEND)
    });
    message.bytes(&body)
}

/// Returns the message with a dictionary to a peer.
pub(crate) fn request(dictionary: &Dictionary) -> MachMsg {
    message(XPC_MESSAGE_REQUEST, dictionary)
}

/// Returns the message with a dictionary to one who waits for a reply.
pub(crate) fn reply(dictionary: &Dictionary, right: OwnedSendOnce) -> MachMsg {
    message(XPC_MESSAGE_REPLY, dictionary).to(right.into_name(), Disposition::MOVE_SEND_ONCE)
}

/// Takes the dictionary out of a received message, with the right to reply to it. None if the message has another id or
/// is malformed; its rights are given back.
pub(crate) fn open(mut message: MachMsg, id: i32) -> Option<(Dictionary, Option<OwnedSendOnce>)> {
    let reply = message.take_reply().map(|reply| OwnedSendOnce::new(reply.header().msgh_remote_port));
    let dictionary = if message.id() == id { dictionary(&mut message) } else { None };
    message.destroy();
    Some((dictionary?, reply))
}

fn dictionary(message: &mut MachMsg) -> Option<Dictionary> {
    let count = message.view()?.descriptors().count();
    let descriptors: Vec<Descriptor> = (0..count).map(|number| take_send_right(message, number)).collect();
    wire::decode(message.body(), descriptors).ok()
}

fn take_send_right(message: &mut MachMsg, number: usize) -> Descriptor {
    let kind = message.view().and_then(|view| view.descriptors().nth(number));
    if !matches!(kind, Some(view::Descriptor::Port(port)) if port.disposition == Disposition::PORT_SEND) {
        return Descriptor::Other;
    }
    let port = message.take_port(number).expect("it is a port descriptor");
    Descriptor::Send(SendRight::new(OwnedSend::new(port.name)))
}

/// Returns the message with which a client introduces itself at a service's port: it brings the receive right through
/// which the service hears the client, and a send right to the client.
pub(crate) fn check_in(service: OwnedSend, server: OwnedReceive, client: PortName) -> MachMsg {
    let mut body = Vec::new();
    body.extend(wire::VERSION.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    MachMsg::new(XPC_MESSAGE_CHECK_IN)
        .to(service.into_name(), Disposition::MOVE_SEND)
        .port(server.into_name(), Disposition::MOVE_RECEIVE)
        .port(client, Disposition::MAKE_SEND)
        .bytes(&body)
}

/// Takes the rights out of a check-in. None if the message is none or is malformed, or if another program offers a port
/// of this one as that of the client; its rights are given back.
///
/// Such a connection would outlive its client: this program's own send right would keep S from running out of senders,
/// if the client's port is S itself, or the S of another connection whose client's port is this S. Of such a ring, the
/// check-in that is opened last names a port that has arrived.
pub(crate) fn open_check_in(mut message: MachMsg, sender: Sender) -> Option<(OwnedReceive, OwnedSend)> {
    let rights = check_in_rights(&mut message);
    message.destroy();
    let is_own = u64::from(sender.pid) == runtime::task::pid();
    rights.filter(|(_, client)| is_own || !owned::is_receiver(client.name()))
}

fn check_in_rights(message: &mut MachMsg) -> Option<(OwnedReceive, OwnedSend)> {
    let prefix = [message.word(0)?, message.word(1)?];
    if message.id() != XPC_MESSAGE_CHECK_IN || prefix != [wire::VERSION, 0] || message.body().len() != 8 {
        return None;
    }
    let mut descriptors = message.view()?.descriptors();
    let is = |descriptor, kind| match descriptor {
        Some(view::Descriptor::Port(port)) => port.disposition == kind && port.name.is_valid(),
        _ => false,
    };
    let fits = is(descriptors.next(), Disposition::PORT_RECEIVE)
        && is(descriptors.next(), Disposition::PORT_SEND)
        && descriptors.next().is_none();
    if !fits {
        return None;
    }
    let [server, client] = [0, 1].map(|number| message.take_port(number).map(|port| port.name));
    Some((OwnedReceive::new(server?), OwnedSend::new(client?)))
}

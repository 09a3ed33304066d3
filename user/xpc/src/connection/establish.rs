//! How a channel gets its rights (dispatch ).
//!
//! A client makes the port C, through which it hears the service, and the port S, through which the service hears it.
//! The check-in brings S and a send right to C to the service. Messages may wait in S meanwhile, and their boosts travel
//! with it: both ports accept donation from the start.

use super::state::{ChannelNumber, Established, Kind};
use super::{Core, Inner};
use crate::owned::{OwnedReceive, OwnedSend};
use crate::{Endpoint, SendRight, bootstrap, service, transport};
use abi::PortName;
use abi::port::{ConstructFlags, MACH_PORT_NULL};
use alloc::string::String;
use dispatch::mach::MachMsg;
use dispatch::process::process;
use dispatch::sync::Arc;

/// Where the rights of a connection's channels come from.
pub(super) enum Origin {
    /// The name service.
    Name(String),
    /// An endpoint.
    Endpoint(SendRight),
    /// A check-in, whose rights wait for the activation.
    CheckIn(OwnedReceive, OwnedSend),
    /// The port of a listener without a name, which waits for the activation.
    Port(OwnedReceive),
    /// The port of an active listener without a name. The channel has the receive right.
    ActivePort(PortName),
    /// There is none any more.
    Nothing,
}

/// What a channel is connected with.
struct Rights {
    receive: OwnedReceive,
    send: OwnedSend,
    check_in: Option<MachMsg>,
}

impl Origin {
    /// Returns the origin of a listener without a name.
    pub(super) fn anonymous() -> Origin {
        Origin::Port(OwnedReceive::new(make_port(ConstructFlags::IMPORTANCE_RECEIVER)))
    }

    /// Returns a new send right to the port of a listener without a name.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        let port = match self {
            Origin::Port(port) => port.name(),
            Origin::ActivePort(port) => *port,
            _ => return None,
        };
        process().kernel.insert_send(port).ok()?;
        Some(Endpoint::new(SendRight::new(OwnedSend::new(port))))
    }
}

fn make_port(flags: ConstructFlags) -> PortName {
    match process().kernel.construct(flags, None) {
        Ok(port) => port,
        Err(_) => process().kernel.crash("there is no room for the port of a connection"),
    }
}

/// Returns the rights of a client of the service behind a send right.
fn introduce(service: OwnedSend) -> Rights {
    // The kernel does not tell the two kinds of receivers apart. The client's port is that of an app as a rule.
    let receive = OwnedReceive::new(make_port(ConstructFlags::DENAP_RECEIVER));
    let flags = ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT;
    let (server, send) = {
        let port = make_port(flags);
        (OwnedReceive::new(port), OwnedSend::new(port))
    };
    let check_in = Some(transport::check_in(service, server, receive.name()));
    Rights { receive, send, check_in }
}

impl Inner {
    /// Finds or makes the rights of a channel, and connects it.
    pub(super) fn establish(self: &Arc<Inner>, number: ChannelNumber) {
        let channel = self.channel();
        let rights = self.find_rights();
        let connecting = self.connecting.lock();
        let (established, kind) = {
            let mut core = self.core.lock();
            (core.state.established(number, rights.is_some()), core.state.kind())
        };
        match (established, rights) {
            (Established::Connect, Some(Rights { receive, send, check_in })) => {
                if kind.is_listener() || kind == Kind::Peer {
                    service::joined(self);
                }
                if !kind.is_listener() {
                    // The peer's port had its send right before; the client's gets it with the check-in.
                    channel.notify_no_senders(kind == Kind::Peer);
                }
                self.core.lock().peer = Some(send.name());
                // The channel says when they are to be released.
                channel.connect(receive.into_name(), send.into_name(), check_in);
                drop(connecting);
            }
            (_, rights) => {
                // Known already if the connection was cancelled meanwhile.
                channel.cancel();
                drop(connecting);
                if let Some(check_in) = rights.and_then(|rights| rights.check_in) {
                    check_in.destroy();
                }
            }
        }
    }

    /// Finds or makes the rights of a channel. None if there are none.
    fn find_rights(&self) -> Option<Rights> {
        let (kind, taken) = {
            let mut core = self.core.lock();
            (core.state.kind(), core.take_origin())
        };
        match taken {
            Taken::Rights(rights) => Some(rights),
            Taken::Name(name) if kind == Kind::Listener => {
                let (port, control) = bootstrap::check_in(&name)?;
                if let Some(control) = control {
                    service::listen_to(control);
                }
                Some(Rights { receive: port, send: OwnedSend::new(MACH_PORT_NULL), check_in: None })
            }
            Taken::Name(name) => Some(introduce(bootstrap::look_up(&name)?)),
            Taken::Endpoint(right) => Some(introduce(OwnedSend::copy_of(right.name()))),
            Taken::Nothing => None,
        }
    }
}

/// What is taken from an origin under the lock.
enum Taken {
    Rights(Rights),
    Name(String),
    Endpoint(SendRight),
    Nothing,
}

impl Core {
    fn take_origin(&mut self) -> Taken {
        match core::mem::replace(&mut self.origin, Origin::Nothing) {
            Origin::Name(name) => {
                self.origin = Origin::Name(name.clone());
                Taken::Name(name)
            }
            Origin::Endpoint(right) => {
                self.origin = Origin::Endpoint(right.clone());
                Taken::Endpoint(right)
            }
            Origin::CheckIn(receive, send) => Taken::Rights(Rights { receive, send, check_in: None }),
            Origin::Port(receive) => {
                self.origin = Origin::ActivePort(receive.name());
                Taken::Rights(Rights { receive, send: OwnedSend::new(MACH_PORT_NULL), check_in: None })
            }
            Origin::ActivePort(_) | Origin::Nothing => Taken::Nothing,
        }
    }
}

//! The name service behind the bootstrap port: programs check in or register ports under names, and look them up.
//!
//! All requests have the form of calls to kernel objects: see [`abi::mig::bootstrap`] and `docs/abi.md`. Every program
//! can send any message to the service, so the service reads requests through a [`View`], takes the right that it keeps
//! out of them, and destroys the rest.

use crate::message::{Message, call_server};
use crate::port::{self, Port};
use crate::task;
use crate::view::{Descriptor, View};
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::{Disposition, MACH_PORT_RIGHT_RECEIVE, PortType};
use abi::{KernReturn, PortName};
use heapless::Vec;

/// The name of a service, padded with zeros.
type Name = [u8; NAME_SIZE];

/// Returns the name as a request contains it.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` if it is too long.
fn padded(name: &str) -> Result<Name, KernReturn> {
    let mut bytes = [0; NAME_SIZE];
    bytes.get_mut(..name.len()).ok_or(KERN_INVALID_ARGUMENT)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

/// Registers a copy of the send right `port` under a name.
///
/// # Errors
/// [`NAME_IN_USE`] as a code; `KERN_INVALID_ARGUMENT` if the name is too long; those of [`call_server`].
pub fn register(name: &str, port: PortName) -> Result<(), KernReturn> {
    let name = padded(name)?;
    let request = Message::copy_send(task::bootstrap_port()).id(REGISTER).port(port, Disposition::COPY_SEND);
    call_server(request.bytes(&NDR).bytes(&name)).map(Message::destroy)
}

/// Makes a port under a name and returns its receive right. The name is free again when the port dies.
///
/// # Errors
/// [`SERVICE_ACTIVE`] as a code if the name is in use; otherwise those of [`look_up`].
pub fn check_in(name: &str) -> Result<Port, KernReturn> {
    request_right(CHECK_IN, name, Disposition::PORT_RECEIVE).map(Port::of)
}

/// Returns the name of a send right to the port of a service.
///
/// # Errors
/// [`UNKNOWN_SERVICE`] as a code; `KERN_INVALID_ARGUMENT` if the name is too long; `MIG_TYPE_ERROR` if the reply brings
/// anything but a right of the kind; those of [`call_server`].
pub fn look_up(name: &str) -> Result<PortName, KernReturn> {
    request_right(LOOK_UP, name, Disposition::PORT_SEND)
}

/// Sends a request with a name and returns the right in the reply, which must be of this kind.
fn request_right(id: i32, name: &str, kind: Disposition) -> Result<PortName, KernReturn> {
    let name = padded(name)?;
    let mut reply = call_server(Message::copy_send(task::bootstrap_port()).id(id).bytes(&NDR).bytes(&name))?;
    let found = match reply.view().and_then(|view| view.only_descriptor()) {
        Some(Descriptor::Port(right)) if right.disposition == kind => reply.take_port(0),
        _ => None,
    };
    reply.destroy();
    found.map(|right| right.name).ok_or(MIG_TYPE_ERROR)
}

/// The capacity of the table of services.
pub const SERVICES_MAX: usize = 64;

/// A request of the right shape.
enum Request {
    CheckIn(Name),
    Register(Name, PortName),
    LookUp(Name),
}

impl Request {
    /// Decodes a request as a MIG stub does: first its id, then its shape, then the kind of its right.
    ///
    /// # Errors
    /// `MIG_BAD_ID`; `MIG_BAD_ARGUMENTS` for another size or number of descriptors; `MIG_TYPE_ERROR` for another kind
    /// of right; `KERN_INVALID_CAPABILITY` for a null or dead name.
    fn decode(request: &View<'_>) -> Result<Request, KernReturn> {
        match request.header().msgh_id {
            REGISTER => {
                let right = request.only_descriptor().ok_or(MIG_BAD_ARGUMENTS)?;
                let name = name_in(request)?;
                match right {
                    Descriptor::Port(right) if right.disposition == Disposition::PORT_SEND => {
                        if !right.name.is_valid() {
                            return Err(KERN_INVALID_CAPABILITY);
                        }
                        Ok(Request::Register(name, right.name))
                    }
                    _ => Err(MIG_TYPE_ERROR),
                }
            }
            CHECK_IN | LOOK_UP if request.is_complex() => Err(MIG_BAD_ARGUMENTS),
            CHECK_IN => Ok(Request::CheckIn(name_in(request)?)),
            LOOK_UP => Ok(Request::LookUp(name_in(request)?)),
            _ => Err(MIG_BAD_ID),
        }
    }
}

/// Returns the name in a request. It ends before the first zero byte: a C program may have any bytes behind that.
fn name_in(request: &View<'_>) -> Result<Name, KernReturn> {
    let name = request.body().get(NDR.len()..).ok_or(MIG_BAD_ARGUMENTS)?;
    let mut name = Name::try_from(name).map_err(|_| MIG_BAD_ARGUMENTS)?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    name[end..].fill(0);
    Ok(name)
}

/// Makes a port, and a send right to it under the same name.
fn make_service() -> Result<PortName, KernReturn> {
    let port = port::allocate(MACH_PORT_RIGHT_RECEIVE)?;
    if let Err(code) = port::insert_right(port, port, Disposition::MAKE_SEND) {
        let _ = port::destroy(port);
        return Err(code);
    }
    Ok(port)
}

/// The services of a name server.
#[derive(Debug, Default)]
pub struct Registry {
    services: Vec<(Name, PortName), SERVICES_MAX>,
}

impl Registry {
    /// Returns a registry without services.
    pub const fn new() -> Registry {
        Registry { services: Vec::new() }
    }

    /// Replies to a request, and gives back every right in it that is not registered. A request without a send-once
    /// reply right is only destroyed, because its sender could not learn the result.
    pub fn serve(&mut self, mut request: Message) {
        let Some(reply) = request.take_reply() else { return request.destroy() };
        let answer = self.answer(&mut request);
        // Before the reply is sent, so that the client finds all rights given back.
        request.destroy();
        let reply = match answer {
            Ok(Some((port, disposition))) => reply.port(port, disposition),
            Ok(None) => reply.bytes(&NDR).words(&[0]),
            Err(code) => reply.bytes(&NDR).words(&[code.0 as u32]),
        };
        reply.send_or_destroy();
    }

    /// Returns the right that the reply carries, if it carries one.
    fn answer(&mut self, request: &mut Message) -> Result<Option<(PortName, Disposition)>, KernReturn> {
        self.forget_dead();
        match Request::decode(&request.view().ok_or(MIG_BAD_ARGUMENTS)?)? {
            Request::CheckIn(name) => {
                if self.find(&name).is_some() {
                    return Err(KernReturn(SERVICE_ACTIVE));
                }
                let port = make_service()?;
                if self.services.push((name, port)).is_err() {
                    let _ = port::destroy(port);
                    return Err(KERN_RESOURCE_SHORTAGE);
                }
                // If the reply cannot be sent, the receive right is destroyed, and the dead port is forgotten.
                Ok(Some((port, Disposition::MOVE_RECEIVE)))
            }
            Request::Register(name, port) => {
                if self.find(&name).is_some() {
                    return Err(KernReturn(NAME_IN_USE));
                }
                self.services.push((name, port)).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                request.take_port(0);
                Ok(None)
            }
            Request::LookUp(name) => match self.find(&name) {
                Some(port) => Ok(Some((port, Disposition::COPY_SEND))),
                None => Err(KernReturn(UNKNOWN_SERVICE)),
            },
        }
    }

    fn find(&self, name: &Name) -> Option<PortName> {
        self.services.iter().find(|(known, _)| known == name).map(|(_, port)| *port)
    }

    /// Forgets the services whose port has died.
    fn forget_dead(&mut self) {
        self.services.retain(|(_, port)| {
            let alive = port::port_type(*port).is_ok_and(|kind| kind.contains(PortType::SEND));
            if !alive {
                port::destroy_right(*port, Disposition::PORT_SEND);
            }
            alive
        });
    }

    /// Forgets all services.
    pub fn clear(&mut self) {
        for (_, port) in &self.services {
            port::destroy_right(*port, Disposition::PORT_SEND);
        }
        self.services.clear();
    }
}

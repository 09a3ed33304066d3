//! The name service behind the bootstrap port: programs register ports under names, others look them up.
//!
//! Both messages are in the form of calls to kernel objects: see [`abi::mig::bootstrap`] and `docs/abi.md`.

use crate::message::Message;
use crate::port;
use crate::task;
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::{Disposition, PortType};
use abi::{KernReturn, PortName};
use heapless::Vec;

/// A service's name, filled up with zeros.
type Name = [u8; NAME_SIZE];

fn padded(name: &str) -> Name {
    let mut bytes = [0; NAME_SIZE];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// Registers a copy of the send right `port` under a name.
///
/// # Errors
/// [`NAME_IN_USE`] as a code, or those of `mach_msg`.
pub fn register(name: &str, port: PortName) -> Result<(), KernReturn> {
    let request = Message::copy_send(task::bootstrap_port()).id(REGISTER).port(port, Disposition::COPY_SEND);
    let reply = request.bytes(&NDR).bytes(&padded(name)).rpc()?;
    KernReturn(reply.word(2) as i32).ok()
}

/// A send right to what is registered under a name.
///
/// # Errors
/// [`UNKNOWN_SERVICE`] as a code, or those of `mach_msg`.
pub fn look_up(name: &str) -> Result<PortName, KernReturn> {
    let reply = Message::copy_send(task::bootstrap_port()).id(LOOK_UP).bytes(&NDR).bytes(&padded(name)).rpc()?;
    if reply.is_complex() {
        return Ok(reply.descriptor(0).name);
    }
    KernReturn(reply.word(2) as i32).ok()?;
    Err(KERN_FAILURE)
}

/// How many services there can be.
const SERVICES_MAX: usize = 64;

/// The serving side.
#[derive(Debug, Default)]
pub struct Registry {
    services: Vec<(Name, PortName), SERVICES_MAX>,
}

impl Registry {
    /// A registry without services.
    pub const fn new() -> Registry {
        Registry { services: Vec::new() }
    }

    /// Answers a request. What is not understood is destroyed; its sender hears of it by its reply port.
    pub fn serve(&mut self, request: &Message) {
        let answer = match (request.message_id(), request.is_complex()) {
            (REGISTER, true) => self.register(request),
            (LOOK_UP, false) => self.look_up(request),
            _ => Err(MIG_BAD_ID),
        };
        let reply = Message::reply(request);
        let mut reply = match answer {
            Ok(Some(port)) => reply.port(port, Disposition::COPY_SEND).bytes(&NDR),
            Ok(None) => reply.bytes(&NDR).words(&[0]),
            Err(code) => reply.bytes(&NDR).words(&[code.0 as u32]),
        };
        // Whoever asked may be gone.
        let _ = reply.send_within(0);
    }

    fn register(&mut self, request: &Message) -> Result<Option<PortName>, KernReturn> {
        let port = request.descriptor(0).name;
        self.forget_dead();
        let name = name_in(request);
        let taken = match name {
            Err(code) => Err(code),
            Ok(name) if self.find(&name).is_some() => Err(KernReturn(NAME_IN_USE)),
            Ok(name) => self.services.push((name, port)).map_err(|_| KERN_RESOURCE_SHORTAGE),
        };
        if taken.is_err() {
            let _ = port::deallocate(port);
        }
        taken.map(|()| None)
    }

    fn look_up(&mut self, request: &Message) -> Result<Option<PortName>, KernReturn> {
        self.forget_dead();
        self.find(&name_in(request)?).map(Some).ok_or(KernReturn(UNKNOWN_SERVICE))
    }

    fn find(&self, name: &Name) -> Option<PortName> {
        self.services.iter().find(|(known, _)| known == name).map(|(_, port)| *port)
    }

    /// Forgets the services whose port has died.
    pub fn forget_dead(&mut self) {
        self.services.retain(|(_, port)| {
            let alive = port::port_type(*port).is_ok_and(|kind| kind.contains(PortType::SEND));
            if !alive {
                let _ = port::deallocate(*port);
            }
            alive
        });
    }
}

fn name_in(request: &Message) -> Result<Name, KernReturn> {
    let body = request.body();
    body.get(NDR.len()..NDR.len() + NAME_SIZE).and_then(|name| name.try_into().ok()).ok_or(MIG_BAD_ARGUMENTS)
}

//! The name service behind the bootstrap port: programs check in or register ports under names, and look them up. It
//! starts the programs that have been declared for a name when the name is wanted (dispatch 7.2, X-6).
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | what clients and services call |
//! | `job.rs` | [`Job`]: the declaration of a program and its services |
//! | `life.rs` | when a job is started, and when it was started too often; without calls of the kernel |
//! | `request.rs` | the requests, decoded |
//! | `launcher.rs`, `record.rs` | the jobs of a name service, and one of them with its ports and its task |
//! | `registry.rs` | [`Registry`]: the name service |
//!
//! All requests have the form of calls to kernel objects: see [`abi::mig::bootstrap`] and `docs/abi.md`. Every program
//! can send any message to the service, so the service reads requests through a [`View`](crate::view::View), takes the
//! right that it keeps out of them, and destroys the rest.

mod job;
mod launcher;
mod life;
mod record;
mod registry;
mod request;

pub use job::{Job, SERVICES_PER_JOB};
pub use launcher::JOBS_MAX;
pub use life::{STARTS_DEFAULT, STARTS_MAX, WINDOW_DEFAULT};
pub use registry::{Registry, SERVICES_MAX};

use crate::message::{Message, call_server};
use crate::port::Port;
use crate::task;
use crate::view::Descriptor;
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition;
use abi::{KernReturn, PortName};
use request::padded;

/// Registers a copy of the send right `port` under a name.
///
/// # Errors
/// [`NAME_IN_USE`] as a code; `KERN_INVALID_ARGUMENT` if the name is too long; those of [`call_server`].
pub fn register(name: &str, port: PortName) -> Result<(), KernReturn> {
    let name = padded(name)?;
    let request = Message::copy_send(task::bootstrap_port()).id(REGISTER).port(port, Disposition::COPY_SEND);
    call_server(request.bytes(&NDR).bytes(&name)).map(Message::destroy)
}

/// Makes a port under a name and returns its receive right. The name is free again when the port dies. For a declared
/// name the caller gets the port of the service, as by [`check_in_service`].
///
/// # Errors
/// [`SERVICE_ACTIVE`] as a code if the name is in use; otherwise those of [`look_up`].
pub fn check_in(name: &str) -> Result<Port, KernReturn> {
    request_right(CHECK_IN, name, Disposition::PORT_RECEIVE).map(Port::of)
}

/// Returns the name of a send right to the port of a service. If the service is declared and its job does not run, the
/// name service starts it; messages wait until the job has checked in.
///
/// # Errors
/// [`UNKNOWN_SERVICE`] as a code; [`SERVICE_THROTTLED`] as a code; `KERN_INVALID_ARGUMENT` if the name is too long;
/// `MIG_TYPE_ERROR` if the reply brings anything but a right of the kind; those of [`call_server`].
pub fn look_up(name: &str) -> Result<PortName, KernReturn> {
    request_right(LOOK_UP, name, Disposition::PORT_SEND)
}

/// Returns a request whose argument is a name.
fn named(id: i32, name: &str) -> Result<Message, KernReturn> {
    Ok(Message::copy_send(task::bootstrap_port()).id(id).bytes(&NDR).bytes(&padded(name)?))
}

/// Sends a request with a name and returns the right in the reply, which must be of this kind.
fn request_right(id: i32, name: &str, kind: Disposition) -> Result<PortName, KernReturn> {
    let mut reply = call_server(named(id, name)?)?;
    let found = match reply.view().and_then(|view| view.only_descriptor()) {
        Some(Descriptor::Port(right)) if right.disposition == kind => reply.take_port(0),
        _ => None,
    };
    reply.destroy();
    found.map(|right| right.name).ok_or(MIG_TYPE_ERROR)
}

/// What a job gets when it checks in.
#[derive(Debug)]
pub struct CheckedIn {
    /// The receive right of the service, with all messages that have waited for it, and their boosts.
    pub port: Port,
    /// The receive right of the control port, to which the launcher sends the request to end ([`is_terminate_request`]).
    /// An instance gets it once. A program that nobody has declared gets none.
    pub control: Option<Port>,
}

/// Checks in with the name of a declared service (dispatch X-6). Only the task that the name service has started for the
/// job may do that. When the port dies, by the task's hand or with it, its receive right returns to the name service
/// with the messages that it has.
///
/// With a name that nobody has declared it does the same as [`check_in`].
///
/// # Errors
/// [`NOT_PRIVILEGED`] as a code if the caller is another task; [`SERVICE_ACTIVE`] as a code if the receive right is not
/// with the name service; otherwise those of [`look_up`].
pub fn check_in_service(name: &str) -> Result<CheckedIn, KernReturn> {
    let [port, control] = request_service(name)?;
    Ok(CheckedIn { port: port.ok_or(MIG_TYPE_ERROR)?, control })
}

/// Returns the control port of a job without a service, or of one that has checked in by [`check_in`].
///
/// # Errors
/// [`NOT_PRIVILEGED`] as a code if the caller is no task of a job; [`SERVICE_ACTIVE`] as a code if it has the port
/// already; otherwise those of [`look_up`].
pub fn take_control() -> Result<Port, KernReturn> {
    let [_, control] = request_service("")?;
    control.ok_or(KernReturn(SERVICE_ACTIVE))
}

/// Returns both rights of the reply to [`CHECK_IN_SERVICE`].
fn request_service(name: &str) -> Result<[Option<Port>; 2], KernReturn> {
    let mut reply = call_server(named(CHECK_IN_SERVICE, name)?)?;
    let is_right = |descriptor| match descriptor {
        Descriptor::Port(right) => right.disposition == Disposition::PORT_RECEIVE || !right.name.is_valid(),
        _ => false,
    };
    let has_both = reply.view().is_some_and(|view| view.descriptors().filter(|&each| is_right(each)).count() == 2);
    if !has_both {
        reply.destroy();
        return Err(MIG_TYPE_ERROR);
    }
    let rights = [0, 1].map(|number| {
        let right = reply.take_port(number)?;
        right.name.is_valid().then(|| Port::of(right.name))
    });
    reply.destroy();
    Ok(rights)
}

/// Declares a job to the name service. The caller must be user 0. The declaration holds until the end of the session,
/// which is that of the program for which the name service runs.
///
/// # Errors
/// [`NOT_PRIVILEGED`] as a code; [`NAME_IN_USE`] as a code if there is a job of this label, or if one of the services is
/// declared or registered already; `KERN_INVALID_ARGUMENT` if the job has a part that is too long, empty or out of
/// range; `KERN_RESOURCE_SHORTAGE` if there are too many jobs; those of [`call_server`].
pub fn declare(job: &Job) -> Result<(), KernReturn> {
    job.check()?;
    let request = job.encode(Message::copy_send(task::bootstrap_port()).id(DECLARE));
    call_server(request).map(Message::destroy)
}

/// Asks the running instance of a job to end (dispatch X-23). The caller must be user 0.
///
/// # Errors
/// [`NOT_PRIVILEGED`] as a code; [`UNKNOWN_SERVICE`] as a code if there is no job of this label; `KERN_TERMINATED` if
/// it does not run; those of [`call_server`].
pub fn terminate_job(label: &str) -> Result<(), KernReturn> {
    call_server(named(TERMINATE_JOB, label)?).map(Message::destroy)
}

/// Returns true if a message from the control port asks the program to end.
pub fn is_terminate_request(message: &Message) -> bool {
    message.message_id() == TERMINATE
}

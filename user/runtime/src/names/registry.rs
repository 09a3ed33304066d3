//! The name service: its ports, the services that programs register, and its loop.

use super::job::Job;
use super::launcher::Launcher;
use super::record::Place;
use super::request::{Name, Request};
use crate::growth::grow_tables;
use crate::message::{Message, is_lost, port_with_send};
use crate::port::{self, Port};
use crate::time::{MILLISECOND, now};
use abi::code::*;
use abi::message::MACH_NOTIFY_PORT_DESTROYED;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::*;
use abi::{KernReturn, PortName};
use heapless::Vec;

/// The capacity of the table of services that programs register themselves.
pub const SERVICES_MAX: usize = 64;
/// How many of them are those of one user, unless that is user 0. Otherwise a program of one user could leave no names for the
/// others.
pub const SERVICES_PER_USER_MAX: usize = 16;

/// More names than a full name service has.
const NAMES_MAX: usize = 512;

/// Milliseconds that jobs have to end when their session ends.
const GRACE: u64 = 1000;
/// Milliseconds that a terminated task may take to end.
const TERMINATION_LIMIT: u32 = 20_000;
/// The index of the pid, and that of the effective user, in the audit words of a trailer.
const AUDIT_PID: usize = 5;
const AUDIT_EUID: usize = 1;

/// What a reply carries.
enum Answer {
    /// The code 0.
    Done,
    Right(PortName, Disposition),
    /// The receive right of a service and that of a control port; either may be null.
    Service(PortName, PortName),
}

/// Makes a port, and a send right to it under the same name.
///
/// # Errors
/// Those of both calls.
pub(super) fn make_service() -> Result<PortName, KernReturn> {
    let port = port::allocate(MACH_PORT_RIGHT_RECEIVE)?;
    if let Err(code) = port::insert_right(port, port, Disposition::MAKE_SEND) {
        let _ = port::destroy(port);
        return Err(code);
    }
    Ok(port)
}

/// A service that a program has registered itself.
#[derive(Debug)]
struct Service {
    name: Name,
    port: PortName,
    /// The user of the program.
    user: u32,
}

/// A name service, for one session after the other.
#[derive(Debug)]
pub struct Registry {
    /// The bootstrap port of programs, to which they send requests.
    requests: Port,
    /// The port to which receive rights of services return.
    returns: Port,
    /// A set of both, and of all other ports on which the name service receives.
    set: PortName,
    services: Vec<Service, SERVICES_MAX>,
    launcher: Launcher,
}

impl Registry {
    /// [Grows](grow_tables) the kernel's tables for this task as much as a name service may.
    ///
    /// # Panics
    /// If there is no room.
    pub fn grow_tables(&self) {
        grow_tables(NAMES_MAX);
        // The port to which receive rights return keeps the message that was set aside for the notification: it carries a
        // right, and so is a message of its own.
        let port = Port::new();
        let (id, once) = (MACH_NOTIFY_PORT_DESTROYED, Disposition::MAKE_SEND_ONCE);
        port::request_notification(port.name(), id, 0, self.returns.name(), once).expect("the port is new");
        drop(port);
        Message::receive(self.returns.name()).expect("the right returns").destroy();
    }

    /// Returns a name service without services.
    ///
    /// # Panics
    /// If there is no room for its ports.
    pub fn new() -> Registry {
        let (requests, returns) = (port_with_send(), Port::new());
        let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
        let place = Place { bootstrap: requests.name(), returns: returns.name(), set };
        let registry = Registry { requests, returns, set, services: Vec::new(), launcher: Launcher::new(place) };
        registry.add_member(registry.requests.name());
        registry.add_member(registry.returns.name());
        registry
    }

    /// Returns the name of the send right that programs get as their bootstrap port.
    pub fn port(&self) -> PortName {
        self.requests.name()
    }

    /// Lets [`receive`](Registry::receive) receive on another port of this task too.
    ///
    /// # Panics
    /// If there is no room for that.
    pub fn add_member(&self, port: PortName) {
        port::insert_member(port, self.set).expect("a fresh port joins a set");
    }

    /// Declares a job (dispatch X-6). Its services' ports exist from now on. The caller must be user 0, because only user
    /// 0 learns which task has sent a message.
    ///
    /// # Errors
    /// Those of [`declare`](super::declare), except [`NOT_PRIVILEGED`].
    pub fn declare(&mut self, job: Job) -> Result<(), KernReturn> {
        job.check()?;
        self.forget_dead();
        let is_registered = |name: &str| super::padded(name).is_ok_and(|name| self.find(&name).is_some());
        if job.services().any(is_registered) {
            return Err(KernReturn(NAME_IN_USE));
        }
        self.launcher.declare(job)
    }

    /// Serves requests and looks after the jobs until a message comes to `own`, which is a member, or until the time
    /// `deadline`; `u64::MAX` is no limit. When that is over only a message to `own` counts: requests that follow each
    /// other without a pause must not keep the caller here. Returns None if there is none.
    ///
    /// # Errors
    /// Those of `mach_msg` that concern this task's own ports.
    pub fn receive(&mut self, own: PortName, deadline: u64) -> Result<Option<Message>, KernReturn> {
        loop {
            self.launcher.start_what_is_due();
            let now = now();
            let source = if now >= deadline { own } else { self.set };
            let next = deadline.min(self.launcher.deadline());
            let left = next.saturating_sub(now).div_ceil(MILLISECOND).min(u64::from(u32::MAX)) as u32;
            match self.take(source, (next != u64::MAX).then_some(left)) {
                Ok(Some(message)) if message.header().msgh_local_port == own => return Ok(Some(message)),
                Ok(Some(message)) => self.handle(message),
                Ok(None) => {}
                Err(MACH_RCV_TIMED_OUT) if now >= deadline => return Ok(None),
                Err(code) if code == MACH_RCV_TIMED_OUT || is_lost(code) => {}
                Err(code) => return Err(code),
            }
        }
    }

    /// Receives a message. None if one waits for a service, whose job it has started: that one is the job's.
    fn take(&mut self, source: PortName, milliseconds: Option<u32>) -> Result<Option<Message>, KernReturn> {
        if source != self.set || !self.launcher.listens() {
            return Message::receive_any(source, milliseconds).map(Some);
        }
        let member = Message::wait_for_member(source, milliseconds)?;
        if self.launcher.message_waits(member) {
            return Ok(None);
        }
        Message::receive_any(member, Some(0)).map(Some)
    }

    /// Handles a message to one of the name service's own ports.
    fn handle(&mut self, message: Message) {
        match message.header().msgh_local_port {
            port if port == self.requests.name() => self.serve(message),
            port if port == self.returns.name() => self.launcher.take_back(message),
            port if self.launcher.awaits_exit(port) => self.note_end(port, message),
            _ => message.destroy(),
        }
    }

    /// Notes the end of the job to whose exit port a message came. All rights of the task were destroyed before.
    fn note_end(&mut self, exit: PortName, message: Message) {
        self.take_all_back();
        self.launcher.instance_ended(exit, message);
    }

    fn take_all_back(&mut self) {
        loop {
            match Message::receive_any(self.returns.name(), Some(0)) {
                Ok(message) => self.launcher.take_back(message),
                // An instance's own message, which had no room. Others may wait behind it.
                Err(code) if is_lost(code) => {}
                Err(_) => return,
            }
        }
    }

    /// Replies to a request, and gives back every right in it that is not registered. A request without a send-once
    /// reply right is only destroyed, because its sender could not learn the result.
    fn serve(&mut self, mut request: Message) {
        let Some(reply) = request.take_reply() else { return request.destroy() };
        let answer = self.answer(&mut request);
        // Before the reply is sent, so that the client finds all rights given back.
        request.destroy();
        let reply = match answer {
            Ok(Answer::Right(port, disposition)) => reply.port(port, disposition),
            Ok(Answer::Service(port, control)) => {
                reply.port(port, Disposition::MOVE_RECEIVE).port(control, Disposition::MOVE_RECEIVE)
            }
            Ok(Answer::Done) => reply.bytes(&NDR).words(&[0]),
            Err(code) => reply.bytes(&NDR).words(&[code.0 as u32]),
        };
        // A receive right in a reply that cannot be sent is destroyed: that of a service comes back.
        reply.send_or_destroy();
    }

    fn answer(&mut self, request: &mut Message) -> Result<Answer, KernReturn> {
        self.forget_dead();
        let audit = request.trailer().msgh_audit;
        let (pid, user) = (audit[AUDIT_PID], audit[AUDIT_EUID]);
        match Request::decode(&request.view().ok_or(MIG_BAD_ARGUMENTS)?)? {
            Request::CheckIn(name) => match self.declared(&name) {
                Some(service) => {
                    let port = self.launcher.check_in(service, pid)?;
                    Ok(Answer::Right(port, Disposition::MOVE_RECEIVE))
                }
                None => Ok(Answer::Right(self.check_in(name, user)?, Disposition::MOVE_RECEIVE)),
            },
            Request::CheckInService(name) if name[0] == 0 => {
                Ok(Answer::Service(MACH_PORT_NULL, self.launcher.take_control(pid)?))
            }
            Request::CheckInService(name) => match self.declared(&name) {
                Some(service) => {
                    let (port, control) = self.launcher.check_in_service(service, pid)?;
                    Ok(Answer::Service(port, control))
                }
                None => Ok(Answer::Service(self.check_in(name, user)?, MACH_PORT_NULL)),
            },
            Request::Register(name, port) => {
                if self.find(&name).is_some() || self.declared(&name).is_some() {
                    return Err(KernReturn(NAME_IN_USE));
                }
                self.add(Service { name, port, user })?;
                request.take_port(0);
                Ok(Answer::Done)
            }
            Request::LookUp(name) => {
                let port = match self.declared(&name) {
                    Some(service) => self.launcher.look_up(service)?,
                    None => self.find(&name).ok_or(KernReturn(UNKNOWN_SERVICE))?,
                };
                Ok(Answer::Right(port, Disposition::COPY_SEND))
            }
            Request::Declare(_) | Request::TerminateJob(_) if user != 0 => Err(KernReturn(NOT_PRIVILEGED)),
            Request::Declare(job) => self.declare(*job).map(|()| Answer::Done),
            Request::TerminateJob(label) => self.launcher.terminate_job(text_of(&label)?).map(|()| Answer::Done),
        }
    }

    /// Makes the port of a name that nobody has declared.
    fn check_in(&mut self, name: Name, user: u32) -> Result<PortName, KernReturn> {
        if self.find(&name).is_some() {
            return Err(KernReturn(SERVICE_ACTIVE));
        }
        let port = make_service()?;
        self.add(Service { name, port, user }).inspect_err(|_| {
            let _ = port::destroy(port);
        })?;
        // If the reply cannot be sent, the receive right is destroyed, and the dead port is forgotten.
        Ok(port)
    }

    /// Adds a service to the table.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if the table is full, or the user's part of it.
    fn add(&mut self, service: Service) -> Result<(), KernReturn> {
        let taken = self.services.iter().filter(|known| known.user == service.user).count();
        if service.user != 0 && taken >= SERVICES_PER_USER_MAX {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        self.services.push(service).map_err(|_| KERN_RESOURCE_SHORTAGE)
    }

    /// Returns the service that is declared under a name.
    fn declared(&self, name: &Name) -> Option<(usize, usize)> {
        text_of(name).ok().and_then(|name| self.launcher.find(name))
    }

    fn find(&self, name: &Name) -> Option<PortName> {
        self.services.iter().find(|service| service.name == *name).map(|service| service.port)
    }

    /// Forgets the services whose port has died.
    fn forget_dead(&mut self) {
        self.services.retain(|service| {
            let alive = port::port_type(service.port).is_ok_and(|kind| kind.contains(PortType::SEND));
            if !alive {
                port::destroy_right(service.port, Disposition::PORT_SEND);
            }
            alive
        });
    }

    /// Ends the session: asks the jobs to end, ends those that have not ended a second later, and forgets all services
    /// and jobs. Requests are still served meanwhile, but nothing is started any more.
    ///
    /// # Panics
    /// If a terminated task does not end.
    pub fn clear(&mut self) {
        if self.launcher.close() {
            let deadline = now() + GRACE * MILLISECOND;
            while let Some(exit) = self.launcher.running() {
                // The end of any other job is noted on the way.
                match self.receive(exit, deadline) {
                    Ok(Some(message)) => self.note_end(exit, message),
                    Ok(None) | Err(_) => break,
                }
            }
            self.launcher.terminate_all();
        }
        while let Some(exit) = self.launcher.running() {
            match Message::receive_any(exit, Some(TERMINATION_LIMIT)) {
                Ok(message) => self.note_end(exit, message),
                Err(code) => panic!("a terminated job does not end: {code}"),
            }
        }
        self.take_all_back();
        self.launcher.clear();
        for service in &self.services {
            port::destroy_right(service.port, Disposition::PORT_SEND);
        }
        self.services.clear();
    }
}

/// Returns the text of a name.
///
/// # Errors
/// [`UNKNOWN_SERVICE`] as a code if it is no UTF-8: no job has such a label or service.
fn text_of(name: &Name) -> Result<&str, KernReturn> {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    core::str::from_utf8(&name[..end]).map_err(|_| KernReturn(UNKNOWN_SERVICE))
}

impl Default for Registry {
    fn default() -> Self {
        Registry::new()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.clear();
        let _ = port::mod_refs(self.requests.name(), MACH_PORT_RIGHT_SEND, -1);
        let _ = port::mod_refs(self.set, MACH_PORT_RIGHT_PORT_SET, -1);
    }
}

//! A job of a name service, with its ports and the task that runs.

use super::job::{Job, SERVICES_PER_JOB};
use super::life::{End, Life};
use super::registry::make_service;
use crate::message::{Call, Message};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use abi::code::*;
use abi::message::{MACH_NOTIFY_PORT_DESTROYED, MsgOption};
use abi::mig::bootstrap::*;
use abi::port::*;
use abi::task::{ExitStatus, SPAWN_SHARE_OF, SPAWN_SHARE_PARTS};
use abi::{KernReturn, PortName};
use heapless::Vec;

/// The port of a service. The name service has a send right to it, and the receive right unless the job has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Service {
    /// The name of the rights; null if there is no port.
    pub(super) port: PortName,
    /// True if the receive right is here.
    pub(super) is_here: bool,
}

impl Service {
    /// Makes a port that accepts donation and whose boosts do not count for this task (dispatch X-4, importance 3.3).
    fn make() -> Result<Service, KernReturn> {
        let flags = ConstructFlags::TEMPOWNER | ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT;
        let options = PortOptions { flags: flags.bits(), ..PortOptions::default() };
        Ok(Service { port: port::construct(options, 0)?, is_here: true })
    }

    /// Gives the rights up. With the receive right the port dies, and its messages are destroyed.
    fn drop_rights(&mut self) {
        if self.is_here {
            port::destroy_right(self.port, Disposition::PORT_RECEIVE);
        }
        port::destroy_right(self.port, Disposition::PORT_SEND);
        *self = Service::default();
    }

    fn has_messages(&self) -> bool {
        self.is_here && port::status(self.port).is_ok_and(|status| status.mps_msgcount > 0)
    }
}

/// The running task of a job.
#[derive(Debug)]
struct Instance {
    /// The name of its control port in the kernel's sense, which only this task and itself have.
    task: PortName,
    /// The port for its exit message.
    exit: Port,
    /// The port for requests to end, until the task has taken it, and a send right to it.
    control: Option<Port>,
    control_send: PortName,
}

/// Where a job's ports are to be heard: parts of the name service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The send right that a job gets as its bootstrap port.
    pub(super) bootstrap: PortName,
    /// The port to which receive rights return.
    pub(super) returns: PortName,
    /// The set of all ports on which the name service receives.
    pub(super) set: PortName,
}

/// A job with its ports and its task.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) life: Life,
    /// One for each service of the job, in their order.
    services: Vec<Service, SERVICES_PER_JOB>,
    instance: Option<Instance>,
}

impl Record {
    /// Returns a job without an instance, whose ports exist.
    ///
    /// # Errors
    /// Those of `mach_port_construct`.
    pub(super) fn new(job: Job, place: Place) -> Result<Record, KernReturn> {
        let JobSettings { starts_max, starts_window, .. } = *job.settings();
        let life = Life::new(job.keeps_alive(), starts_max, starts_window);
        let services = job.services().map(|_| Service::default()).collect();
        let mut record = Record { job, life, services, instance: None };
        match record.make_ports() {
            Ok(()) => record.listen(place),
            Err(code) => {
                record.drop_ports();
                return Err(code);
            }
        }
        Ok(record)
    }

    /// Returns the number of the service with this name.
    pub(super) fn service(&self, name: &str) -> Option<usize> {
        self.job.services().position(|known| known == name)
    }

    /// Returns the name of the send right to a service.
    pub(super) fn port_of(&self, service: usize) -> PortName {
        self.services[service].port
    }

    /// Returns true if this is the port of a service.
    pub(super) fn owns(&self, port: PortName) -> bool {
        self.services.iter().any(|service| service.port == port)
    }

    /// Returns true if an instance runs.
    pub(super) fn runs(&self) -> bool {
        self.instance.is_some()
    }

    /// Returns the port for the exit message of the instance.
    pub(super) fn exit_port(&self) -> Option<PortName> {
        self.instance.as_ref().map(|instance| instance.exit.name())
    }

    /// Makes the ports that do not exist.
    fn make_ports(&mut self) -> Result<(), KernReturn> {
        for service in self.services.iter_mut().filter(|service| service.port == MACH_PORT_NULL) {
            *service = Service::make()?;
        }
        Ok(())
    }

    /// Destroys all ports of the services, and the messages in those that are here.
    pub(super) fn drop_ports(&mut self) {
        self.services.iter_mut().for_each(Service::drop_rights);
    }

    /// Lets the first message to a service be noticed: it is to start the job.
    pub(super) fn listen(&self, place: Place) {
        for service in self.services.iter().filter(|service| service.is_here) {
            // It fails if the port is in the set already, or for want of memory: then a look-up starts the job.
            let _ = port::insert_member(service.port, place.set);
        }
    }

    /// Leaves messages unnoticed: they wait for the instance that is there.
    fn stop_listening(&self, place: Place) {
        for service in self.services.iter().filter(|service| service.is_here) {
            // It fails if the port is not in the set.
            let _ = port::extract_member(service.port, place.set);
        }
    }

    /// Starts an instance.
    ///
    /// # Errors
    /// Those of `task_spawn`, and those of making ports. Nothing is left then but ports of services.
    pub(super) fn start(&mut self, place: Place) -> Result<(), KernReturn> {
        self.make_ports()?;
        self.stop_listening(place);
        let exit = Port::of(port::allocate(MACH_PORT_RIGHT_RECEIVE)?);
        port::insert_member(exit.name(), place.set)?;
        let spawn = self.spawn()?.bootstrap(place.bootstrap).exit_port(exit.name());
        let control_send = make_service()?;
        let control = Port::of(control_send);
        // The services of one session run at the same time, and there are few.
        match spawn.pages(SPAWN_SHARE_OF + SPAWN_SHARE_PARTS / 2).start() {
            Ok(task) => {
                self.instance = Some(Instance { task, exit, control: Some(control), control_send });
                Ok(())
            }
            Err(code) => {
                drop(control);
                port::destroy_right(control_send, Disposition::PORT_SEND);
                Err(code)
            }
        }
    }

    /// Returns what the job says about its task.
    fn spawn(&self) -> Result<Spawn, KernReturn> {
        let JobSettings { app_type, role, qos_clamp, uid, gid, persona, properties, .. } = *self.job.settings();
        let mut spawn = Spawn::file(self.job.program(), self.job.label())?;
        for argument in self.job.arguments() {
            spawn = spawn.argument(argument);
        }
        for service in &self.services {
            spawn.watch(service.port)?;
        }
        let args = &mut spawn.args;
        (args.app_type, args.role, args.qos_clamp) = (app_type, role, qos_clamp);
        (args.uid, args.gid, args.persona, args.properties) = (uid, gid, persona, properties);
        Ok(spawn)
    }

    /// Returns true if the task with this pid is the instance. The name service must be user 0.
    pub(super) fn is_instance(&self, pid: u32) -> bool {
        let Some(instance) = &self.instance else { return false };
        let Ok(name) = task::for_pid(pid) else { return false };
        // One port has one name here, so it is the same task if it is the same name.
        let is_same = name == instance.task;
        port::destroy_right(name, Disposition::PORT_SEND);
        is_same
    }

    /// Lets the instance have a service: returns the receive right, which comes back when it would die.
    ///
    /// # Errors
    /// [`SERVICE_ACTIVE`] as a code if the receive right is not here; those of `mach_port_request_notification`.
    pub(super) fn check_in(&mut self, service: usize, place: Place) -> Result<PortName, KernReturn> {
        let service = &mut self.services[service];
        if !service.is_here {
            return Err(KernReturn(SERVICE_ACTIVE));
        }
        let id = MACH_NOTIFY_PORT_DESTROYED;
        port::request_notification(service.port, id, 0, place.returns, Disposition::MAKE_SEND_ONCE)?;
        service.is_here = false;
        self.life.checked_in();
        Ok(service.port)
    }

    /// Returns the receive right of the control port, or null if the instance has it already.
    pub(super) fn take_control(&mut self) -> PortName {
        let control = self.instance.as_mut().and_then(|instance| instance.control.take());
        control.map_or(MACH_PORT_NULL, Port::into_name)
    }

    /// Takes a receive right back that would have died otherwise. Returns false if it is none of this job's.
    pub(super) fn take_back(&mut self, port: PortName) -> bool {
        let mut services = self.services.iter_mut();
        let Some(service) = services.find(|service| service.port == port && !service.is_here) else { return false };
        service.is_here = true;
        // If it fails for want of memory, boosts count for this task until the job has checked in.
        let _ = port::disown_boosts(port);
        true
    }

    /// Asks the instance to end. Returns false if it has not taken its control port, and so cannot hear it.
    pub(super) fn ask_to_end(&self) -> bool {
        let Some(instance) = &self.instance else { return false };
        let mut message = Message::copy_send(instance.control_send).id(TERMINATE);
        let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT | MsgOption::SEND_NOIMPORTANCE;
        let sent = message.call(&Call { options, ..Call::default() });
        // A full queue has such requests already: only this task can send to the port. Its right has come back.
        let is_there = matches!(sent, MACH_MSG_SUCCESS | MACH_SEND_TIMED_OUT);
        if sent == MACH_SEND_TIMED_OUT {
            message.destroy();
        }
        is_there && instance.control.is_none()
    }

    /// Ends the instance.
    pub(super) fn terminate(&self) {
        if let Some(instance) = &self.instance {
            // It fails if the task has ended by itself; the exit message is there or comes.
            let _ = task::terminate(instance.task);
        }
    }

    /// Notes that the instance has ended; the receive rights that it had are back. A receive right that it has given to
    /// somebody else is not, and the service gets another port.
    pub(super) fn ended(&mut self, status: Option<ExitStatus>) -> End {
        if let Some(Instance { task, control, control_send, .. }) = self.instance.take() {
            drop(control);
            port::destroy_right(control_send, Disposition::PORT_SEND);
            port::destroy_right(task, Disposition::PORT_SEND);
        }
        for service in &mut self.services {
            if service.is_here {
                // The port may still be bound to the task that has ended, as its watch port.
                let _ = port::disown_boosts(service.port);
            } else {
                service.drop_rights();
            }
        }
        // A port that is missing is made when it is wanted; if there is no memory now, there may be then.
        let _ = self.make_ports();
        let is_clean = status.and_then(ExitStatus::code) == Some(0);
        End { is_clean, leaves_messages: self.services.iter().any(Service::has_messages) }
    }
}

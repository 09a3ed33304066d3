//! The jobs of a name service.

use super::job::Job;
use super::life::Verdict;
use super::record::{Place, Record};
use crate::message::Message;
use crate::time::now;
use crate::{port, task};
use abi::code::*;
use abi::mig::bootstrap::*;
use abi::port::Disposition;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use heapless::Vec;

/// The greatest number of jobs.
pub const JOBS_MAX: usize = 32;

/// The jobs of a name service.
#[derive(Debug)]
pub(super) struct Launcher {
    place: Place,
    jobs: Vec<Box<Record>, JOBS_MAX>,
    /// True while the session ends: nothing is declared or started any more.
    is_closing: bool,
}

impl Launcher {
    /// Returns a launcher without jobs.
    pub(super) fn new(place: Place) -> Launcher {
        Launcher { place, jobs: Vec::new(), is_closing: false }
    }

    /// Returns the number of the job that owns a service, and that of the service.
    pub(super) fn find(&self, name: &str) -> Option<(usize, usize)> {
        self.jobs.iter().enumerate().find_map(|(number, record)| Some((number, record.service(name)?)))
    }

    fn labelled(&self, label: &str) -> Option<usize> {
        self.jobs.iter().position(|record| record.job.label() == label)
    }

    /// Adds a job, and starts it if it is kept alive.
    ///
    /// # Errors
    /// [`NAME_IN_USE`] as a code; `KERN_TERMINATED` while the session ends; `KERN_RESOURCE_SHORTAGE`.
    pub(super) fn declare(&mut self, job: Job) -> Result<(), KernReturn> {
        if self.is_closing {
            return Err(KERN_TERMINATED);
        }
        if self.labelled(job.label()).is_some() || job.services().any(|name| self.find(name).is_some()) {
            return Err(KernReturn(NAME_IN_USE));
        }
        if self.jobs.is_full() {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        let record = Record::new(job, self.place).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let keeps_alive = record.job.keeps_alive();
        if self.jobs.push(Box::new(record)).is_err() {
            unreachable!("there is room for another job");
        }
        if keeps_alive {
            // A job that does not start is tried again.
            let _ = self.want(self.jobs.len() - 1);
        }
        Ok(())
    }

    /// Lets the job have an instance.
    ///
    /// # Errors
    /// [`SERVICE_THROTTLED`] as a code.
    fn want(&mut self, job: usize) -> Result<(), KernReturn> {
        let verdict = self.jobs[job].life.want(now());
        self.follow(job, verdict)
    }

    fn follow(&mut self, job: usize, verdict: Verdict) -> Result<(), KernReturn> {
        let record = &mut self.jobs[job];
        match verdict {
            Verdict::Lives => return Ok(()),
            Verdict::Start if record.start(self.place).is_ok() => return Ok(()),
            Verdict::Start => record.life.did_not_start(now()),
            Verdict::Fail | Verdict::Refused => {}
        }
        // Who waits learns it now: the messages are destroyed, and send rights to the services are dead.
        record.drop_ports();
        Err(KernReturn(SERVICE_THROTTLED))
    }

    /// Returns the name of the send right to a service, whose job is started if it does not run.
    ///
    /// # Errors
    /// [`SERVICE_THROTTLED`] as a code; while the session ends, [`UNKNOWN_SERVICE`] for a job that does not run.
    pub(super) fn look_up(&mut self, (job, service): (usize, usize)) -> Result<PortName, KernReturn> {
        if self.is_closing && !self.jobs[job].runs() {
            return Err(KernReturn(UNKNOWN_SERVICE));
        }
        self.want(job)?;
        Ok(self.jobs[job].port_of(service))
    }

    /// Returns the receive right of a service for the task that asks for it.
    ///
    /// # Errors
    /// [`NOT_PRIVILEGED`] as a code if the task is not the instance; those of [`Record::check_in`].
    pub(super) fn check_in(&mut self, service: (usize, usize), pid: u32) -> Result<PortName, KernReturn> {
        self.let_in(service, pid).map(|(port, _)| port)
    }

    /// Returns the receive rights of a service and of the control port for the task that asks for them. The latter is null
    /// if the task has it already.
    ///
    /// # Errors
    /// Those of [`check_in`](Launcher::check_in).
    pub(super) fn check_in_service(
        &mut self,
        service: (usize, usize),
        pid: u32,
    ) -> Result<(PortName, PortName), KernReturn> {
        // The task may die at any time, so that it must not be looked for once more: the right to the service has left
        // already, and would stay behind.
        self.let_in(service, pid).map(|(port, record)| (port, record.take_control()))
    }

    fn let_in(&mut self, (job, service): (usize, usize), pid: u32) -> Result<(PortName, &mut Record), KernReturn> {
        let record = &mut self.jobs[job];
        if !record.is_instance(pid) {
            return Err(KernReturn(NOT_PRIVILEGED));
        }
        let port = record.check_in(service, self.place)?;
        Ok((port, record))
    }

    /// Returns the receive right of the control port for the instance with this pid, or null if it has that already.
    ///
    /// # Errors
    /// [`NOT_PRIVILEGED`] as a code if the task is no instance of a job.
    pub(super) fn take_control(&mut self, pid: u32) -> Result<PortName, KernReturn> {
        let record = self.jobs.iter_mut().find(|record| record.is_instance(pid));
        record.map(|record| record.take_control()).ok_or(KernReturn(NOT_PRIVILEGED))
    }

    /// Asks the instance of a job to end.
    ///
    /// # Errors
    /// [`UNKNOWN_SERVICE`] as a code; `KERN_TERMINATED` if it does not run.
    pub(super) fn terminate_job(&self, label: &str) -> Result<(), KernReturn> {
        let record = &self.jobs[self.labelled(label).ok_or(KernReturn(UNKNOWN_SERVICE))?];
        if !record.runs() {
            return Err(KERN_TERMINATED);
        }
        record.ask_to_end();
        Ok(())
    }

    /// Returns true if messages to services are to be noticed.
    pub(super) fn listens(&self) -> bool {
        !self.is_closing && self.jobs.iter().any(|record| record.life.listens())
    }

    /// Starts the job for whose service a message waits. Returns false if the port belongs to no service.
    pub(super) fn message_waits(&mut self, port: PortName) -> bool {
        let Some(job) = self.jobs.iter().position(|record| record.owns(port)) else { return false };
        // If it fails, the messages are destroyed.
        let _ = self.want(job);
        // They wait for the instance now, and are not to be noticed again. The port may have left the set already.
        let _ = port::extract_member(port, self.place.set);
        true
    }

    /// Takes the receive right of a service back, or destroys a right that no service waits for. A send right to the port
    /// of a service would have the same name here as the receive right, so the kind of the right counts too.
    pub(super) fn take_back(&mut self, mut notification: Message) {
        if let Some(right) = notification.take_port(0) {
            let is_receive = right.disposition == Disposition::PORT_RECEIVE;
            let known = is_receive && self.jobs.iter_mut().any(|record| record.take_back(right.name));
            if !known {
                port::destroy_right(right.name, right.disposition);
            }
        }
        notification.destroy();
    }

    /// Returns true if the port is that for the exit message of an instance.
    pub(super) fn awaits_exit(&self, port: PortName) -> bool {
        self.jobs.iter().any(|record| record.exit_port() == Some(port))
    }

    /// Notes the end of the instance to whose exit port a message came. The receive rights that it had are back.
    pub(super) fn instance_ended(&mut self, port: PortName, message: Message) {
        let status = task::exit_status(&message);
        message.destroy();
        let Some(job) = self.jobs.iter().position(|record| record.exit_port() == Some(port)) else { return };
        let record = &mut self.jobs[job];
        let end = record.ended(status);
        if self.is_closing {
            return;
        }
        match record.life.ended(now(), end) {
            // If it fails, the messages are destroyed.
            Some(verdict) => drop(self.follow(job, verdict)),
            None => record.listen(self.place),
        }
    }

    /// Returns the time at which [`start_what_is_due`](Launcher::start_what_is_due) has something to do.
    pub(super) fn deadline(&self) -> u64 {
        if self.is_closing {
            return u64::MAX;
        }
        self.jobs.iter().filter_map(|record| record.life.deadline()).min().unwrap_or(u64::MAX)
    }

    /// Starts the jobs that are kept alive and are not throttled any more.
    pub(super) fn start_what_is_due(&mut self) {
        let now = now();
        if now < self.deadline() {
            return;
        }
        for job in 0..self.jobs.len() {
            if self.jobs[job].life.deadline().is_some_and(|deadline| deadline <= now) {
                let _ = self.want(job);
            }
        }
    }

    /// Begins the end of the session: asks all instances to end. Returns true if there is one that can hear it.
    pub(super) fn close(&mut self) -> bool {
        self.is_closing = true;
        // Those that cannot hear it are ended at once.
        let (mut asked, jobs) = (false, &self.jobs);
        for record in jobs.iter().filter(|record| record.runs()) {
            if record.ask_to_end() {
                asked = true;
            } else {
                record.terminate();
            }
        }
        asked
    }

    /// Returns the exit port of an instance that runs.
    pub(super) fn running(&self) -> Option<PortName> {
        self.jobs.iter().find_map(|record| record.exit_port())
    }

    /// Ends all instances that run.
    pub(super) fn terminate_all(&self) {
        self.jobs.iter().for_each(|record| record.terminate());
    }

    /// Forgets all jobs, none of which runs.
    pub(super) fn clear(&mut self) {
        self.jobs.iter_mut().for_each(|record| record.drop_ports());
        self.jobs.clear();
        self.is_closing = false;
    }
}
